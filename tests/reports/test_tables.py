from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest

from lightllm_evals.gate import parse_min_condition
from lightllm_evals.reports.tables import (
    benchmark_lines,
    cause_lines,
    estimate_text,
    generation_line,
    verdict_lines,
)
from lightllm_evals.runner import Progress
from lightllm_evals.runs.summary import BenchmarkSummary
from lightllm_evals.stats import Estimate, Interval, Unit, percentiles

HALF = Estimate(value=0.5, interval=Interval(0.25, 0.75), n=8, definition="share of samples")
NONE = Estimate(value=None, interval=None, n=0, definition="no samples scored")
SUMMARY = BenchmarkSummary(
    benchmark="toy",
    variant="default",
    samples_total=20,
    planned=8,
    scored=8,
    passed=4,
    failed=4,
    errors=0,
    skipped=0,
    metrics={"pass@1": HALF},
    truncated=1,
    empty=2,
    unextracted=3,
    retried=4,
    output_tokens=100,
    latency=percentiles([1.0, 2.0, 3.0]),
    ttft=None,
    tpot=None,
)


def summary(**changes: Any) -> BenchmarkSummary:
    return dataclasses.replace(SUMMARY, **changes)


def test_a_benchmark_is_a_block() -> None:
    assert benchmark_lines(SUMMARY) == [
        "toy (default), data set of 20 samples",
        "  cases        8 planned, 8 scored: 4 passed, 4 failed; 0 errors",
        "  pass@1       50.00 % (95 % interval 25.00 to 75.00), n = 8; share of samples",
        "  completions  1 truncated (length), 2 empty, 3 without an answer, 4 retried",
        "  latency      p50 2.000 s, p95 2.900 s, p99 2.980 s",
    ]


def test_what_is_missing_is_said() -> None:
    lines = benchmark_lines(
        summary(planned=12, errors=1, skipped=1, metrics={"pass@1": NONE}, latency=None)
    )
    assert lines[1].endswith("1 error, 1 skipped, 2 never finished")
    assert lines[2].endswith("not available: no sample was scored")
    assert len(lines) == 4


def test_forms_that_score_texts_have_no_completions() -> None:
    lines = benchmark_lines(summary(is_generating=False))
    assert not any("truncated" in line for line in lines)
    assert "  requests  4 retried" in lines
    lines = benchmark_lines(summary(is_generating=False, retried=0))
    assert not any("retried" in line for line in lines)


def test_an_estimate_can_lack_its_interval() -> None:
    assert estimate_text(dataclasses.replace(HALF, interval=None)) == "50.00 %"
    assert estimate_text(NONE) == "not available"


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("perplexity", 23.456, "23.46 (95 % interval 5.8640 to 93.82)"),
        ("bits", 1.23456, "1.2346 (95 % interval 0.3086 to 4.9382)"),
        ("number", 1234.5, "1234.50 (95 % interval 308.62 to 4938.00)"),
    ],
)
def test_what_is_no_share_is_not_in_percent(unit: Unit, value: float, text: str) -> None:
    interval = Interval(value / 4, 4 * value)
    found = Estimate(value=value, interval=interval, n=8, definition="", unit=unit)
    assert estimate_text(found) == text


def test_groups_are_a_table_the_lowest_first() -> None:
    groups = {
        "law": dataclasses.replace(HALF, value=0.75, n=4),
        "art": dataclasses.replace(HALF, n=2),
    }
    lines = benchmark_lines(summary(groups=groups, latency=None))
    assert lines[3:6] == [
        "  groups       2, by pass@1",
        "    art        50.00 %, n = 2",
        "    law        75.00 %, n = 4",
    ]


def test_of_many_groups_both_ends_are_shown() -> None:
    groups = {f"g{i:02}": dataclasses.replace(HALF, value=i / 100) for i in range(57)}
    lines = benchmark_lines(summary(groups=groups))
    start = next(i for i, line in enumerate(lines) if line.startswith("  groups")) + 1
    names = [line.split()[0] for line in lines[start : start + 12]]
    ends = ["g00", "g01", "g02", "g03", "g04", "g05"], ["g52", "g53", "g54", "g55", "g56"]
    assert names == [*ends[0], "...", *ends[1]]
    assert "46 more in between" in lines[start + 6]
    assert lines[start + 12].startswith("  completions")


@pytest.mark.parametrize(
    ("output_tokens", "scored_tokens", "done", "rate"),
    [(0, 0, "generated 0", 0), (12, 0, "generated 12", 6), (0, 8, "scored 8", 4),
     (12, 8, "generated 12 and scored 8", 10)],
)  # fmt: skip
def test_throughput_counts_tokens_that_were_generated_and_scored(
    output_tokens: int, scored_tokens: int, done: str, rate: float
) -> None:
    progress = Progress(
        planned=1,
        in_flight=0,
        done=1,
        failed=0,
        waiting_to_be_scored=0,
        output_tokens=output_tokens,
        scored_tokens=scored_tokens,
        elapsed_s=2.0,
        tokens_per_s=rate,
        since_last_completion_s=0.0,
        in_flight_ids=(),
    )
    assert generation_line(progress, 3.0) == (
        f"{done} tokens in 2.0 s, {rate:.1f} tokens/s; the run took 3.0 s"
    )


def test_causes_are_a_line_each_the_most_frequent_first() -> None:
    causes = Counter({"rare": 1, "often\nand a log's tail": 7, "": 2})
    assert cause_lines(causes) == ["7 x often", "2 x unknown error", "1 x rare"]


@pytest.mark.parametrize(
    ("condition", "found", "passes", "line"),
    [
        ("toy:pass@1>=0.5", SUMMARY, True, "holds: toy:pass@1>=0.5 (it is 50.00 %)"),
        ("toy:pass@1>0.5", SUMMARY, False, "FAILS: toy:pass@1>0.5 (it is 50.00 %)"),
        ("toy:pass@9>=0", SUMMARY, False, "no such metric in this run; there is pass@1"),
        ("other:pass@1>=0", SUMMARY, False, "this benchmark was not run"),
        (
            "toy:pass@1>=0.1",
            summary(planned=9, errors=1),
            False,
            "INCOMPLETE: toy: 8 of 9 planned cases were scored",
        ),
    ],
)
def test_the_gate_passes_exactly_when_all_hold_and_all_was_scored(
    condition: str, found: BenchmarkSummary, passes: bool, line: str
) -> None:
    result, lines = verdict_lines([parse_min_condition(condition)], [found])
    assert result is passes
    assert any(line in each for each in lines)


def test_a_gate_over_nothing_fails() -> None:
    assert verdict_lines([], [])[0] is False
