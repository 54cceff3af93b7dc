"""Cost grows linearly: counted in calls, which no busy machine can change."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lightllm_evals.records import Request, SamplingParams
from lightllm_evals.schedule import Schedule, Send

PARAMS = SamplingParams(max_new_tokens=1)


def run_all(
    count: int, *, num_prefixes: int, num_replicas: int, wants: bool, name: str = ""
) -> Schedule:
    schedule = Schedule(concurrency=64, num_replicas=num_replicas, window=256)
    prefixes = [str(i) for i in range(num_prefixes)] or [""]
    requests = (
        Request(id=f"{name}{i}", params=PARAMS, prefix=prefixes[i % len(prefixes)])
        for i in range(count)
    )
    waiting = schedule.plan(requests, 0.0)
    while waiting:
        action = waiting.pop()
        if not isinstance(action, Send):
            continue
        waiting += schedule.completed(action.ticket, 0.0)
        if wants:
            waiting += schedule.want(f"{name}{schedule.counts.done * 7 % count}", 0.0)
        waiting += schedule.release(action.request.id, 0.0)
    return schedule


def calls_of(work: Callable[[], Any]) -> int:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("num_prefixes", [0, 57])
@pytest.mark.parametrize("num_replicas", [1, 3])
@pytest.mark.parametrize("wants", [False, True])
def test_four_times_the_requests_cost_four_times_the_calls(
    num_prefixes: int, num_replicas: int, wants: bool
) -> None:
    costs = []
    for count in (1000, 4000):
        options = {"num_prefixes": num_prefixes, "num_replicas": num_replicas, "wants": wants}
        costs.append(calls_of(lambda n=count, o=options: run_all(n, **o)))  # type: ignore[misc]  # defaults bind the loop's values
    assert costs[1] < 4.4 * costs[0]


def test_prompts_are_let_go_of_once_they_are_answered() -> None:
    # Named, since other tests of this process may hold requests of their own.
    schedule = run_all(500, num_prefixes=3, num_replicas=1, wants=False, name="let-go-")
    assert schedule.counts.done == 500
    gc.collect()
    held = [thing for thing in gc.get_objects() if isinstance(thing, Request)]
    assert not [request.id for request in held if request.id.startswith("let-go-")]
