"""What must not count as a wrong answer, and gates that have nothing to judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PAGE = """
import pytest
from lightllm_evals import Sample, benchmark
from lightllm_evals.scoring import ExtractionError
import elsewhere

def samples():
    for name in ("right", "wrong", "failed", "unread", "broken", "elsewhere"):
        yield Sample(id=name, fields={})

@benchmark("kinds", samples=samples, prompt=lambda s: "the prompt", max_new_tokens=8)
def test_kinds(sample, answer):
    if sample.id == "wrong":
        assert answer == "something else"
    if sample.id == "failed":
        pytest.fail("not what was asked for")
    if sample.id == "unread":
        raise ExtractionError("nothing to read")
    if sample.id == "broken":
        raise KeyError("a bug in the eval")
    if sample.id == "elsewhere":
        elsewhere.give_up()
"""
ELSEWHERE = """
import pytest

def give_up():
    pytest.fail("Timeout")
"""


def test_only_the_eval_itself_says_that_an_answer_is_wrong(
    pytester: pytest.Pytester, simulated: Callable[..., Any]
) -> None:
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\n")
    pytester.makepyfile(test_kinds=PAGE, elsewhere=ELSEWHERE)
    server = simulated({"the prompt": "yes"})
    result = pytester.runpytest_subprocess(f"--lightllm-url={server.url}", timeout=300)
    result.assert_outcomes(passed=1, failed=3, errors=2)
    result.stdout.fnmatch_lines(["*4 scored: 1 passed, 3 failed; 2 errors*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_without_a_sample_to_judge_never_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other():\n    pass\n")
    result = pytester.runpytest_subprocess("--lightllm-min=humaneval:pass@1>=0.5", timeout=300)
    result.assert_outcomes(passed=1)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*nothing was judged*"])
