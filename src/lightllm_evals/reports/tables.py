"""A run's summary as lines of text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lightllm_evals.gate import Condition
from lightllm_evals.runs.summary import BenchmarkSummary
from lightllm_evals.stats import Estimate, Percentiles, bare_text, value_text

if TYPE_CHECKING:
    from lightllm_evals.runner import Progress

MOST_GROUPS = 12
"""Rows of the table of groups; more would hide what stands around it."""


def estimate_text(estimate: Estimate) -> str:
    """Returns a value with its interval, "not available" where there is none."""
    if estimate.value is None:
        return "not available"
    shown = value_text(estimate.value, estimate.unit)
    if estimate.interval is None:
        return shown
    low, high = (
        bare_text(end, estimate.unit) for end in (estimate.interval.low, estimate.interval.high)
    )
    return f"{shown} (95 % interval {low} to {high})"


def benchmark_lines(summary: BenchmarkSummary) -> list[str]:
    """Returns the block of one benchmark: counts first, then scores, then timings."""
    rows = [
        (
            "cases",
            f"{summary.planned} planned, {summary.scored} scored: {summary.passed} passed, "
            f"{summary.failed} failed; {summary.errors} "
            f"{'error' if summary.errors == 1 else 'errors'}"
            + (f", {summary.skipped} skipped" if summary.skipped else "")
            + _not_run(summary),
        )
    ]
    rows += [(name, _metric_text(estimate)) for name, estimate in summary.metrics.items()]
    rows += _group_rows(summary)
    if summary.is_generating:
        rows.append(
            (
                "completions",
                f"{summary.truncated} truncated (length), {summary.empty} empty, "
                f"{summary.unextracted} without an answer, {summary.retried} retried",
            )
        )
        if summary.think_blocks is not None:
            rows.append(
                (
                    "thinking",
                    f"{summary.think_blocks} blocks removed, "
                    f"{summary.think_unclosed} never closed",
                )
            )
    elif summary.retried:
        rows.append(("requests", f"{summary.retried} retried"))
    for name, values in (
        ("latency", summary.latency),
        ("TTFT", summary.ttft),
        ("TPOT", summary.tpot),
    ):
        if values is not None:
            rows.append((name, _percentiles_text(values)))
    width = max(len(name) for name, _ in rows)
    title = f"{summary.benchmark} ({summary.variant}), {_samples_text(summary)}"
    return [title, *(f"  {name:<{width}}  {text}" for name, text in rows)]


def _group_rows(summary: BenchmarkSummary) -> list[tuple[str, str]]:
    """Returns a row a group, the lowest value first; of many only both ends."""
    known = [
        (each.value, name, f"{value_text(each.value, each.unit)}, n = {each.n}")
        for name, each in summary.groups.items()
        if each.value is not None
    ]
    if not known:
        return []
    rows = [(f"  {name}", text) for _, name, text in sorted(known)]
    if len(rows) > MOST_GROUPS:
        half = (MOST_GROUPS - 1) // 2
        left = len(rows) - MOST_GROUPS + 1
        middle = ("  ...", f"{left} more in between, see summary.json")
        rows = [*rows[: MOST_GROUPS - 1 - half], middle, *rows[-half:]]
    return [("groups", f"{len(known)}, by {next(iter(summary.metrics))}"), *rows]


def _samples_text(summary: BenchmarkSummary) -> str:
    return f"data set of {summary.samples_total} samples"


def _not_run(summary: BenchmarkSummary) -> str:
    left = summary.planned - summary.scored - summary.errors - summary.skipped
    return f", {left} never finished" if left else ""


def _metric_text(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not available: no sample was scored"
    return f"{estimate_text(estimate)}, n = {estimate.n}; {estimate.definition}"


def _percentiles_text(values: Percentiles) -> str:
    return f"p50 {values.p50:.3f} s, p95 {values.p95:.3f} s, p99 {values.p99:.3f} s"


def generation_line(progress: Progress, wall_s: float) -> str:
    """Returns the run's throughput: tokens over the time from first request to last answer."""
    done = []
    if progress.output_tokens or not progress.scored_tokens:
        done.append(f"generated {progress.output_tokens}")
    if progress.scored_tokens:
        done.append(f"scored {progress.scored_tokens}")
    return (
        f"{' and '.join(done)} tokens in {progress.elapsed_s:.1f} s, "
        f"{progress.tokens_per_s:.1f} tokens/s; the run took {wall_s:.1f} s"
    )


def cause_lines(causes: Counter[str]) -> list[str]:
    """Returns one line a cause of errors, the most frequent first."""
    return [
        f"{count} x {cause.splitlines()[0] if cause else 'unknown error'}"
        for cause, count in causes.most_common()
    ]


def verdict_lines(
    conditions: Sequence[Condition], summaries: Iterable[BenchmarkSummary]
) -> tuple[bool, list[str]]:
    """Returns whether the gate passes, and a line for each reason.

    It passes exactly when every condition holds and every planned case of every benchmark was
    scored: a score over fewer samples is another score.
    """
    by_name = {summary.benchmark: summary for summary in summaries}
    lines = []
    passes = bool(by_name)
    for condition in conditions:
        holds, text = _check(condition, by_name.get(condition.benchmark))
        passes &= holds
        lines.append(f"{'holds' if holds else 'FAILS'}: {condition} ({text})")
    for summary in by_name.values():
        if not summary.is_complete:
            passes = False
            lines.append(
                f"INCOMPLETE: {summary.benchmark}: {summary.scored} of {summary.planned} planned "
                "cases were scored"
            )
    return passes, lines


def _check(condition: Condition, summary: BenchmarkSummary | None) -> tuple[bool, str]:
    if summary is None:
        return False, "this benchmark was not run"
    estimate = summary.metrics.get(condition.metric)
    if estimate is None or estimate.value is None:
        there = ", ".join(name for name, each in summary.metrics.items() if each.value is not None)
        return False, f"no such metric in this run; there is {there or 'none'}"
    return condition.holds(estimate.value), f"it is {value_text(estimate.value, estimate.unit)}"
