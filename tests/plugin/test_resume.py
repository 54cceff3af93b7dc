"""Nothing that a server has answered is asked for twice, however a run ended."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.fingerprint import request_key
from lightllm_evals.records import Request, from_json
from lightllm_evals.runs.serving_identity import server_key

NUM = 40
WRONG_EVERY = 4
CONCURRENCY = 4
DEADLINE_S = 120.0
QUIET = ("-q", "-p", "no:hypothesispytest", f"--lightllm-concurrency={CONCURRENCY}")
SEEDS = [
    pytest.param(seed, marks=() if seed < 3 else pytest.mark.slow, id=f"seed{seed}")
    for seed in range(20)
]


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the whole lines of a file: the last one may be torn."""
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if line.endswith(b"\n"):
            yield json.loads(line)


def runs(below: Path) -> list[Path]:
    """Returns the folders of all runs that began, the latest last."""
    found = below.glob(".lightllm-evals/runs/*/run.json")
    return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    never = threading.Event()
    while not is_true():
        assert time.monotonic() < deadline, "it never came true"
        never.wait(0.01)


def kill_when_answered(server: Any, folder: Path, args: list[str], num_answered: int) -> None:
    """Runs pytest and kills it and its workers once the server has answered so many."""
    command = [sys.executable, "-m", "pytest", *QUIET, f"--lightllm-url={server.url}", *args]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def has_come_so_far() -> bool:
        known = server.stats()["prompts_answered"]
        return process.poll() is not None or sum("plus" in p for p in known) >= num_answered

    try:
        wait_until(has_come_so_far)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it was not killed in the middle"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_run_is_finished_and_asks_only_for_what_is_missing(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    seed: int,
) -> None:
    toy(NUM)
    server = simulated(answers(NUM, WRONG_EVERY), "--step-ms", "20")
    chance = random.Random(seed)
    distribution = f"-n{2 * (seed % 2)}"
    kill_when_answered(server, pytester.path, [distribution], chance.randrange(1, NUM - 8))
    (killed,) = runs(pytester.path)
    stored = {line["key"] for line in lines_of(killed / "completions.jsonl")}

    # Nothing but the option is given: all others are those of the killed run.
    result = pytester.runpytest_subprocess(
        *QUIET, distribution, "--lightllm-resume", timeout=DEADLINE_S
    )

    result.stdout.fnmatch_lines(["*40 planned, 40 scored: 30 passed, 10 failed; 0 errors"])
    _, resumed = runs(pytester.path)
    identity = json.loads((resumed / "run.json").read_text(encoding="utf-8"))
    results = list(lines_of(resumed / "results.jsonl"))
    assert sorted(each["case"]["sample"] for each in results) == sorted(
        f"toy/{i}" for i in range(NUM)
    )
    seen = server.stats()["prompts_seen"]
    key = server_key(identity["servers"])
    requests = [from_json(Request, each["case"]["request"]) for each in results]
    assert stored <= {request_key(key, request) for request in requests}
    for request in requests:
        if request_key(key, request) in stored:
            assert seen[request.prompt] == 1, f"{request.id} was stored and asked for again"
    summary = json.loads((resumed / "summary.json").read_text(encoding="utf-8"))
    assert summary["completions_reused"] == len(stored)
    assert summary["continues"] == killed.name
    assert len(list(lines_of(resumed / "completions.jsonl"))) == NUM


def test_errors_are_not_stored_and_asked_again(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
) -> None:
    toy(NUM)
    # Which attempts fail depends on prompt and attempt alone: a second one mostly succeeds.
    server = simulated(answers(NUM, WRONG_EVERY), "--fault", "500=0.2")
    result = pytester.runpytest_subprocess(
        *QUIET, "-n0", f"--lightllm-url={server.url}", "--lightllm-retries=0", timeout=DEADLINE_S
    )
    first = json.loads((runs(pytester.path)[0] / "summary.json").read_text(encoding="utf-8"))
    num_errors = first["benchmarks"][0]["errors"]
    assert num_errors > 0
    stored = list(lines_of(runs(pytester.path)[0] / "completions.jsonl"))
    assert len(stored) == NUM - num_errors
    result = pytester.runpytest_subprocess(
        *QUIET, "-n0", "--lightllm-resume", "--lightllm-retries=9", timeout=DEADLINE_S
    )
    result.stdout.fnmatch_lines(["*40 planned, 40 scored: 30 passed, 10 failed; 0 errors"])
    result.stdout.fnmatch_lines([f"{NUM - num_errors} completions were stored *"])


def test_another_server_does_not_go_on_with_a_run(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
) -> None:
    toy(4)
    server = simulated(answers(4, WRONG_EVERY), "--model-name", "this")
    other = simulated(answers(4, WRONG_EVERY), "--model-name", "that")
    run = (*QUIET, "-n0")
    pytester.runpytest_subprocess(*run, f"--lightllm-url={server.url}", timeout=DEADLINE_S)
    result = pytester.runpytest_subprocess(
        *run, f"--lightllm-url={other.url}", "--lightllm-resume", timeout=DEADLINE_S
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot go on with this server*model: this -> that*"])


def test_failures_are_rerun_and_rescored_at_no_cost_unless_fresh(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
) -> None:
    toy(8)
    pytester.makeini("[pytest]\nfilterwarnings = error")
    server = simulated(answers(8, WRONG_EVERY))
    url = f"--lightllm-url={server.url}"

    def times_asked() -> list[int]:
        seen = server.stats()["prompts_seen"]
        return [seen[f"{i} plus {i} is"] for i in range(8)]

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*QUIET, "-n0", *args, timeout=DEADLINE_S)

    run(url).assert_outcomes(passed=6, failed=2)
    assert times_asked() == [1] * 8
    run(url, "--lf").assert_outcomes(failed=2)
    assert times_asked() == [1] * 8
    run(url, "--lf", "--lightllm-fresh").assert_outcomes(failed=2)
    assert times_asked() == [2, 1, 1, 1, 2, 1, 1, 1]
    # All eight are found, though the latest runs had two of them.
    run(url, "--ff").assert_outcomes(passed=6, failed=2)
    assert times_asked() == [2, 1, 1, 1, 2, 1, 1, 1]

    # Today's scorer takes every answer; the server is gone.
    name = runs(pytester.path)[-1].name
    server.process.stdin.close()
    server.process.wait(DEADLINE_S)
    source = (pytester.path / "test_toy.py").read_text(encoding="utf-8")
    changed = source.replace('answer.strip() == sample["a"]', "answer.strip()")
    assert changed != source
    pytester.makepyfile(test_toy=changed)
    run(f"--lightllm-rescore={name}").assert_outcomes(passed=8)
