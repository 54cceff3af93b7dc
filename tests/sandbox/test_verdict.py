"""What the verdict says, for everything that can be seen of an attempt."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import records
from lightllm_evals.errors import SandboxError
from lightllm_evals.sandbox import Isolation, Verdict, names, ruling
from lightllm_evals.sandbox.attempt import Observation, Task
from lightllm_evals.sandbox.isolation import too_low
from lightllm_evals.sandbox.verdict import one_line

_TASK = Task(
    program="",
    tests="",
    names=(),
    prelude="",
    timeout_s=3.0,
    memory_mb=512,
    is_shared=False,
)


def _end(status: int = 0, cpu_s: float = 0.1, **changed: Any) -> dict[str, Any]:
    plain = {"max_rss_kb": 1, "is_ordered_end": False, "over_quota": False, "left": ""}
    return {"status": status, "cpu_s": cpu_s, **plain, **changed}


def _seen(said: dict[str, Any] | None, **changed: Any) -> Observation:
    values: dict[str, Any] = {
        "verdict": said,
        "has_timed_out": False,
        "is_flooded": False,
        "candidate": _end(),
        "checker": _end(),
        "wall_s": 1.5,
        "delay_s": 0.5,
        "stdout": b"hi\xff",
        "stderr": b"",
    }
    return Observation(**{**values, **changed})


def _said(status: str, detail: str = "") -> dict[str, Any]:
    return {"status": status, "detail": detail, "calls": 2}


@pytest.mark.parametrize(
    ("seen", "status", "limit"),
    [
        (_seen(_said("passed")), "passed", ""),
        (_seen(_said("failed")), "failed", ""),
        (_seen(_said("failed", "OSError: [Errno 28] No space left")), "failed", "scratch"),
        (_seen(_said("memory")), "memory", "memory"),
        (_seen(_said("output")), "output", "output"),
        (_seen(_said("crashed")), "crashed", ""),
        (_seen(_said("crashed"), candidate=_end(9, 4.0)), "timeout", "cpu"),
        (_seen(_said("crashed"), candidate=_end(9, over_quota=True)), "crashed", "scratch"),
        (_seen(None, has_timed_out=True), "timeout", "wall"),
        (_seen(None, is_flooded=True), "output", "output"),
        (_seen(None), "harness_error", ""),
        (_seen(None, checker=_end(11)), "harness_error", ""),
        (_seen(None, checker=_end(9, 5.0)), "timeout", "cpu"),
        (_seen(_said("harness_error")), "harness_error", ""),
        (_seen(_said("splendid")), "harness_error", ""),
        (_seen({}), "harness_error", ""),
    ],
)
def test_what_is_seen_decides(seen: Observation, status: str, limit: str) -> None:
    verdict = ruling.verdict_of(seen, _TASK, 3)
    assert (verdict.status, verdict.limit) == (status, limit)
    assert verdict.passed == (status == "passed")


@given(
    st.none()
    | st.dictionaries(st.sampled_from(["status", "detail", "calls"]), st.text() | st.integers())
)
def test_nothing_but_the_word_passes(said: dict[str, Any] | None) -> None:
    verdict = ruling.verdict_of(_seen(said), _TASK, 2)
    assert verdict.passed == (said is not None and said.get("status") == "passed")


def test_the_programs_own_signal_is_told_apart_from_ours() -> None:
    own = _seen(_said("crashed"), candidate=_end(signal.SIGSEGV))
    ours = _seen(_said("crashed"), candidate=_end(signal.SIGKILL, is_ordered_end=True))
    assert ruling.verdict_of(own, _TASK, 3).signal == signal.SIGSEGV
    assert ruling.verdict_of(ours, _TASK, 3).signal is None


def test_a_verdict_reads_as_one_line_with_limit_and_times() -> None:
    verdict = ruling.verdict_of(_seen(None, has_timed_out=True), _TASK, 0)
    assert str(verdict) == (
        "timeout (wall limit): wall 1.50 s, cpu 0.10 s, delay 0.50 s; "
        "isolation 0 UNSAFE, split; no verdict within 3 s"
    )


def test_a_verdict_is_plain_data() -> None:
    verdict = ruling.verdict_of(_seen(_said("passed")), _TASK, 3)
    assert verdict.stdout == "hi\\xff"
    assert records.from_json(Verdict, json.loads(json.dumps(verdict.to_json()))) == verdict


@given(st.text())
def test_details_are_short_and_printable(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 500
    assert line.isprintable()


def test_a_refusal_says_what_is_missing_and_what_to_do() -> None:
    isolation = Isolation(level=2, refused={3: "namespaces cannot be entered: not permitted"})
    text = too_low(isolation, 3)
    assert "level 3: namespaces cannot be entered: not permitted" in text
    assert "--security-opt" in text
    assert "kernel.unprivileged_userns_clone" in text
    assert "--lightllm-min-isolation=2" in text
    assert "unsafe" in too_low(Isolation(level=0, refused={}), 2)


def test_names_are_what_tests_read_and_nobody_defines() -> None:
    tests = """
import math
from os import path as p
def check(candidate, *rest, key=None):
    try:
        total = sum(candidate(x) for x in rest)
    except ValueError as error:
        print(error)
    assert math.sqrt(helper(total)) == CONSTANT + p.sep
check(entry)
"""
    assert names.wanted_by(tests, "def helper(x):\n    return x\n") == ["CONSTANT", "entry"]


def test_builtins_are_never_taken_from_a_program_unasked() -> None:
    assert names.wanted_by("assert sorted(f(1)) == set(len([2]))", "") == ["f"]


def test_tests_that_are_no_python_are_no_fault_of_the_program() -> None:
    with pytest.raises(SandboxError, match="Correct the data set"):
        names.wanted_by("assert (", "")
