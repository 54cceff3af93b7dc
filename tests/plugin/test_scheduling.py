"""Cases are handed out when their completions are here, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lightllm_evals.pytest_scheduling import CompletionScheduling

NUM = 16


class Node:
    """A worker that only takes note of what it is told."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.sent: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def scheduling() -> CompletionScheduling:
    """For two workers, which the test adds."""
    config = SimpleNamespace(
        getvalue=lambda name: ["popen"] * 2 if name == "tx" else None,
        getoption=lambda name: None,
    )
    return CompletionScheduling(config)  # type: ignore[arg-type]  # what xdist reads of one


def add_nodes(scheduling: CompletionScheduling, collection: list[str]) -> list[Node]:
    nodes = [Node("gw0"), Node("gw1")]
    for node in nodes:
        scheduling.add_node(node)
        scheduling.add_node_collection(node, collection)
    return nodes


def test_nothing_is_handed_out_before_it_is_known_what_is_a_case(
    scheduling: CompletionScheduling,
) -> None:
    nodes = add_nodes(scheduling, ["case", "other"])
    is_planned = False
    scheduling.activate(lambda nodeid: is_planned and nodeid == "other", lambda node, nodeid: None)
    scheduling.schedule()
    assert [node.sent for node in nodes] == [[], []]
    is_planned = True
    scheduling.plan_arrived()
    assert sorted(nodes[0].sent + nodes[1].sent) == [1]
    assert not any(node.shutting_down for node in nodes)


def test_case_follows_its_completion(scheduling: CompletionScheduling) -> None:
    nodes = add_nodes(scheduling, ["a", "b", "c"])
    told: list[tuple[Any, str]] = []
    arrived: set[str] = set()
    scheduling.activate(arrived.__contains__, lambda node, nodeid: told.append((node, nodeid)))
    scheduling.plan_arrived()
    scheduling.schedule()
    for nodeid, index in (("c", 2), ("a", 0)):
        arrived.add(nodeid)
        scheduling.completion_arrived(nodeid)
        node, delivered = told[-1]
        assert delivered == nodeid
        assert node.sent[-1] == index
    assert not any(node.shutting_down for node in nodes)
    scheduling.completion_arrived("b")
    assert all(node.shutting_down for node in nodes)


def test_slow_completion_keeps_no_worker_from_the_others(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    results: Callable[[], list[dict[str, Any]]],
) -> None:
    toy(NUM)
    path = pytester.path / "answers.jsonl"
    lines = [
        {"prompt": f"{i} plus {i} is", "completion": f" {2 * i}", "output_tokens": 3}
        for i in range(1, NUM)
    ]
    # 60 steps, which is time enough to judge the others even on a busy machine.
    slow = {"prompt": "0 plus 0 is", "completion": " 0", "output_tokens": 60}
    path.write_text("\n".join(map(json.dumps, [slow, *lines])), encoding="utf-8")
    server = simulated(None, "--answers", str(path), "--step-ms", "100", "--slots", "64")
    options = [f"--lightllm-url={server.url}", "--lightllm-param=max_new_tokens=100"]
    result = pytester.runpytest_subprocess("-n2", *options, timeout=300)
    result.assert_outcomes(passed=NUM)
    order = [each["case"]["sample"] for each in results()]
    # Each worker sits on its last case until there is another one.
    assert order.index("toy/0") >= NUM - 3
