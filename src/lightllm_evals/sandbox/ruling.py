"""Turns what was seen of an attempt into a verdict."""

from __future__ import annotations

import os
from typing import Any

from lightllm_evals.sandbox.attempt import MAX_OUTPUT_BYTES, Observation, Task
from lightllm_evals.sandbox.verdict import Limit, Status, Verdict, one_line

_CHECKER_WORDS: tuple[Status, ...] = (
    "passed",
    "failed",
    "crashed",
    "memory",
    "output",
    "harness_error",
)
# What an OSError looks like at the edge of the scratch folder and of a file.
_DISK_FULL = ("[Errno 28]", "[Errno 27]", "[Errno 122]")


def verdict_of(seen: Observation, task: Task, isolation: int) -> Verdict:
    """Returns the verdict; pure, and the only place where one is made."""
    status, limit, detail = _ruling(seen, task)
    said = seen.verdict or {}
    calls = said.get("calls")
    return Verdict(
        status=status,
        limit=limit,
        detail=one_line(detail),
        isolation=isolation,
        integrity="shared" if task.is_shared else "split",
        wall_s=seen.wall_s,
        cpu_s=seen.candidate["cpu_s"],
        delay_s=seen.delay_s,
        max_rss_kb=seen.candidate["max_rss_kb"],
        calls=calls if type(calls) is int else 0,
        signal=_signal(seen) if status == "crashed" else None,
        stdout=seen.stdout.decode("utf-8", "backslashreplace"),
        stderr=seen.stderr.decode("utf-8", "backslashreplace"),
    )


def _ruling(seen: Observation, task: Task) -> tuple[Status, Limit, str]:
    if seen.is_flooded:
        return "output", "output", f"wrote more than {MAX_OUTPUT_BYTES >> 20} MiB"
    if seen.has_timed_out:
        return "timeout", "wall", f"no verdict within {task.timeout_s:g} s"
    if seen.verdict is None:
        return _without_word(seen, task)
    return _as_said(seen.verdict, seen, task)


def _as_said(verdict: dict[str, Any], seen: Observation, task: Task) -> tuple[Status, Limit, str]:
    status = verdict.get("status")
    detail = str(verdict.get("detail"))
    if status not in _CHECKER_WORDS:
        return "harness_error", "", f"the checker said {status!r}"
    if status == "crashed":
        return _crash(seen, task, detail)
    if status == "memory":
        return "memory", "memory", f"{detail} (limit {task.memory_mb} MiB)"
    if status == "output":
        return "output", "output", detail
    is_full = status == "failed" and any(mark in detail for mark in _DISK_FULL)
    return status, "scratch" if is_full else "", detail


def _crash(seen: Observation, task: Task, detail: str) -> tuple[Status, Limit, str]:
    if seen.candidate["over_quota"]:
        return "crashed", "scratch", "wrote too much to its scratch folder"
    if _is_out_of_cpu(seen.candidate, task.cpu_s):
        return "timeout", "cpu", f"used its {task.cpu_s} s of CPU"
    signal = _signal(seen)
    return "crashed", "", f"{detail} (signal {signal})" if signal else detail


def _without_word(seen: Observation, task: Task) -> tuple[Status, Limit, str]:
    """The checker ended in silence: only its CPU limit makes that the program's doing."""
    if _is_out_of_cpu(seen.checker, task.cpu_s + 1):
        return "timeout", "cpu", "the tests used all their CPU on the answers"
    status = seen.checker["status"]
    return "harness_error", "", f"the checker ended without a verdict (wait status {status})"


def _is_out_of_cpu(end: dict[str, Any], limit_s: int) -> bool:
    # The kernel counts in ticks, so the limit can strike a little early.
    return bool(os.WIFSIGNALED(end["status"])) and float(end["cpu_s"]) > limit_s - 0.1


def _signal(seen: Observation) -> int | None:
    """Returns the signal that the candidate died of; ours, which came after the end, is none."""
    status = seen.candidate["status"]
    if not os.WIFSIGNALED(status) or seen.candidate["is_ordered_end"]:
        return None
    return os.WTERMSIG(status)
