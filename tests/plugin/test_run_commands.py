"""Runs on disk, compared and put together without pytest."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.runs.baseline import load_baseline

NUM = 24
WRONG_EVERY = 3  # 8 wrong, 16 right
MODEL = ("--model-name", "toy-model")


@pytest.fixture
def run(
    pytester: pytest.Pytester, toy: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Runs the toy benchmark into a folder and returns its name."""
    toy(NUM)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def start(server: Any, name: str, *args: str) -> str:
        pytester.runpytest_subprocess(
            "-q",
            "-n0",
            "-p",
            "no:hypothesispytest",
            f"--lightllm-url={server.url}",
            f"--lightllm-run-dir={name}",
            *args,
            timeout=300,
        )
        return name

    return start


@pytest.fixture
def command(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs ``lightllm-evals`` in a process of its own."""
    script = Path(sys.executable).with_name("lightllm-evals")
    return lambda *args: pytester.run(script, *args, timeout=300)


def test_shards_become_one_run_unless_they_overlap_or_one_is_missing(
    run: Callable[..., str],
    simulated: Callable[..., Any],
    answers: Callable[[int, int], dict[str, str]],
    pytester: pytest.Pytester,
    command: Callable[..., pytest.RunResult],
) -> None:
    server = simulated(answers(NUM, WRONG_EVERY), *MODEL)
    whole = run(server, "whole", "--lightllm-save-baseline=baseline.json")
    parts = [run(server, f"part{i}", f"--lightllm-shard={i}/2") for i in (1, 2)]
    cases = [cases_of(pytester.path / part) for part in parts]
    assert cases[0] | cases[1] == cases_of(pytester.path / whole)
    assert not cases[0] & cases[1]
    assert cases[0]
    assert cases[1]

    result = command("merge", *parts, "--output=merged", "--baseline=baseline.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["toy: PASS  pass@1 66.7 -> 66.7 %*"])
    result = command("compare", whole, "merged")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*0 broken, 0 fixed of 24 samples"])

    result = command("merge", parts[0], "--baseline=baseline.json")
    assert result.ret == 10
    result.stdout.fnmatch_lines(["INCOMPLETE: no run of shard 2/2"])
    result = command("merge", parts[0], parts[0])
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*both have test_toy.py::test_toy*"])


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_shard_without_a_sample_says_so_and_can_be_merged(
    toy: Callable[[int], None],
    simulated: Callable[..., Any],
    answers: Callable[[int, int], dict[str, str]],
    pytester: pytest.Pytester,
    command: Callable[..., pytest.RunResult],
    workers: str,
) -> None:
    toy(1)
    url = f"--lightllm-url={simulated(answers(1, 2), *MODEL).url}"
    names = []
    empty = ""
    for i in (1, 2):
        options = (f"--lightllm-shard={i}/2", f"--lightllm-run-dir=part{i}", "--lightllm-limit=1")
        # Its verdict is that of the whole.
        gate = "--lightllm-gate=toy: pass@1>=1%"
        result = pytester.runpytest_subprocess(workers, url, *options, gate, timeout=300)
        names.append(f"part{i}")
        if "has none of the samples" in result.stdout.str():
            assert result.ret == 0
            result.assert_outcomes(skipped=1)
            result.stdout.fnmatch_lines(
                [f"lightllm: shard {i}/2 has none of the samples*`lightllm-evals merge`*part{i}"]
            )
            empty = names[-1]
    for order in (names, names[::-1]):
        result = command("merge", *order)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["toy: 1 of 1 scored, 0 errors; pass@1 *"])
    result = command("merge", empty)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["INCOMPLETE: no*"])
    # A condition is a question of its own, and nothing answers it.
    condition = "--lightllm-min=toy:pass@1>=0.1"
    shard = f"--lightllm-shard={empty[-1]}/2"
    result = pytester.runpytest_subprocess(workers, url, shard, condition, timeout=300)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["lightllm: a gate was asked for, and no sample was run*"])


def test_runs_are_compared_and_their_noise_is_measured(
    run: Callable[..., str],
    simulated: Callable[..., Any],
    answers: Callable[[int, int], dict[str, str]],
    pytester: pytest.Pytester,
    command: Callable[..., pytest.RunResult],
) -> None:
    known = answers(NUM, WRONG_EVERY)
    then = run(simulated(known, *MODEL), "then")
    worse = {**known, **{f"{i} plus {i} is": "no idea" for i in (1, 2, 4, 5, 7, 8)}}
    now = run(simulated(worse, *MODEL), "now")

    result = command("compare", then, now)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "toy: REGRESSED  pass@1 66.7 -> 41.7 %, -25.0 points*",
            "*broken: toy/1 toy/2 toy/4 toy/5 toy/7 toy/8",
        ]
    )
    assert command("compare", then, now, "--gate", "drop<=30").ret == 0

    result = command("noise", then, now, "--save-baseline=folded.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*2 runs of 24 samples*",
            "*6 samples flipped (25.00%)*",
            "*recommended: --lightllm-gate 'toy: drop<=*",
        ]
    )
    folded = load_baseline(pytester.path / "folded.json")
    assert folded.num_runs == 2
    assert folded.samples["toy/1"].scores == (1.0, 0.0)


def cases_of(folder: Path) -> set[str]:
    """Returns the node ids in a run's results."""
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line)["case"]["nodeid"] for line in lines]
    assert len(found) == len(set(found))
    return set(found)
