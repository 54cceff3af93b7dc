from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from lightllm_evals.records import SCORED, Completion, Request, SamplingParams
from lightllm_evals.results import CaseOutcome, CaseResult, CaseVerdict, PlannedCase
from lightllm_evals.runs.summary import BenchmarkSummary, outcome_of, summarize


def planned(
    sample: str, repeat: int = 0, benchmark: str = "toy", group: str = "", **changes: Any
) -> PlannedCase:
    nodeid = f"t.py::{benchmark}[{sample}-{repeat}]"
    case = PlannedCase(
        nodeid=nodeid,
        benchmark=benchmark,
        variant="default",
        metric="pass@1",
        sample=sample,
        repeat=repeat,
        group=group,
        num_samples_total=164,
        request=Request(id=nodeid, params=SamplingParams(max_new_tokens=8), prompt="p"),
    )
    return dataclasses.replace(case, **changes)


def finished(
    case: PlannedCase,
    outcome: CaseOutcome,
    *,
    answer: dict[str, Any] | None = None,
    **verdict: Any,
) -> CaseResult:
    completion = None
    if answer is not None:
        given: dict[str, Any] = {
            "text": "x",
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "output_tokens": 5,
            "latency_s": 1.0,
        }
        completion = Completion(**(given | answer))
    return CaseResult(
        case=case, verdict=CaseVerdict(outcome=outcome, **verdict), completion=completion
    )


def summary_of(results: Sequence[CaseResult], *others: PlannedCase) -> BenchmarkSummary:
    (found,) = summarize(
        [*(result.case for result in results), *others],
        [outcome_of(result) for result in results],
    )
    return found


def value(summary: BenchmarkSummary, metric: str = "pass@1") -> float | None:
    return summary.metrics[metric].value


def test_errors_and_what_never_ran_are_in_no_score() -> None:
    found = summary_of(
        [
            finished(planned("a"), "passed", answer={}),
            finished(planned("b"), "failed", answer={}),
            finished(planned("c"), "error", error="RequestTimeoutError"),
            finished(planned("d"), "skipped", answer={}),
        ],
        planned("e"),
    )
    assert value(found) == 0.5
    assert (found.planned, found.scored, found.errors, found.skipped) == (5, 2, 1, 1)
    assert not found.is_complete
    assert found.samples_total == 164


def test_a_run_without_a_score_has_none() -> None:
    found = summary_of([finished(planned("a"), "error")])
    assert value(found) is None
    assert not found.is_complete
    assert found.latency is None


def test_odd_completions_are_counted() -> None:
    found = summary_of(
        [
            finished(planned("a"), "failed", answer={"finish_reason": "length"}),
            finished(planned("b"), "failed", answer={"text": " \n", "attempts": 3}),
            finished(planned("c"), "failed", answer={}, error="ExtractionError"),
        ]
    )
    assert (found.truncated, found.empty, found.unextracted, found.retried) == (1, 1, 1, 1)
    assert found.output_tokens == 15
    assert found.is_complete


def test_a_request_that_scores_texts_has_no_completion_to_be_odd() -> None:
    case = planned("a")
    case = dataclasses.replace(case, request=dataclasses.replace(case.request, scoring="ll"))
    found = summary_of([finished(case, "passed", answer={"text": "", "finish_reason": SCORED})])
    assert (found.is_generating, found.empty) == (False, 0)
    generated = finished(planned("a"), "failed", answer={"text": ""})
    assert (summary_of([generated]).is_generating, summary_of([generated]).empty) == (True, 1)


def test_pass_at_k_is_there_only_where_every_sample_has_k_scores() -> None:
    def results(last: CaseOutcome) -> list[CaseResult]:
        outcomes: list[CaseOutcome] = ["passed", "failed", "failed", "failed", "failed"]
        outcomes += ["failed", "failed", "failed", "failed", last]
        return [
            finished(planned(sample, repeat), outcome, answer={})
            for sample in ("a", "b")
            for repeat, outcome in enumerate(outcomes)
        ]

    whole = summary_of(results("failed"))
    assert value(whole) == pytest.approx(0.1)
    assert value(whole, "pass@10") == 1.0
    assert "pass@100" not in whole.metrics
    assert "pass@10" not in summary_of(results("error")).metrics


def test_further_metrics_are_means_over_samples_not_cases() -> None:
    found = summary_of(
        [
            finished(planned("a", 0), "passed", answer={}, metrics={"loose": 1.0}),
            finished(planned("a", 1), "passed", answer={}, metrics={"loose": 0.0}),
            finished(planned("b", 0), "failed", answer={}, metrics={"loose": 0.0}),
            finished(planned("b", 1), "failed", answer={}, metrics={"loose": 0.0}),
        ]
    )
    assert value(found, "loose") == 0.25
    assert found.metrics["loose"].n == 2


def test_a_metric_with_weights_is_a_ratio_of_sums_over_samples() -> None:
    found = summary_of(
        [
            finished(planned("a", 0), "passed", answer={}, metrics={"strict": (2.0, 3.0)}),
            finished(planned("a", 1), "passed", answer={}, metrics={"strict": (0.0, 3.0)}),
            finished(planned("b", 0), "failed", answer={}, metrics={"strict": 1.0}),
            finished(planned("b", 1), "failed", answer={}),
        ]
    )
    assert value(found, "strict") == 0.5
    assert found.metrics["strict"].n == 2


@pytest.mark.parametrize(
    ("aggregation", "figures"),
    [("micro", {"acc": 0.75, "acc_macro": 0.5}), ("macro", {"acc": 0.5, "acc_micro": 0.75})],
)
def test_groups_have_their_own_figures_and_both_means_are_there(
    aggregation: str, figures: dict[str, float]
) -> None:
    def result(sample: str, group: str, outcome: CaseOutcome) -> CaseResult:
        case = planned(sample, group=group, metric="acc", aggregation=aggregation)
        return finished(case, outcome, answer={})

    found = summary_of(
        [result(sample, "law", "passed") for sample in ("a", "b", "c")]
        + [result("d", "physics", "failed")]
    )
    assert {name: each.value for name, each in found.metrics.items()} == figures
    assert next(iter(found.metrics)) == "acc"
    assert {name: (each.value, each.n) for name, each in found.groups.items()} == {
        "law": (1.0, 3),
        "physics": (0.0, 1),
    }


def test_samples_of_one_group_are_no_table() -> None:
    found = summary_of([finished(planned("a", group="law"), "passed", answer={})])
    assert (found.groups, list(found.metrics)) == ({}, ["pass@1"])


def test_the_headline_is_what_was_recorded_under_its_name() -> None:
    case = planned("a", metric="f1")
    found = summary_of(
        [
            finished(case, "failed", answer={}, metrics={"f1": 0.5}),
            finished(planned("b", metric="f1"), "passed", answer={}, metrics={"f1": 1.0}),
            # Nothing was extracted before anything could be recorded: a wrong answer.
            finished(planned("c", metric="f1"), "failed", answer={}, error="ExtractionError"),
        ]
    )
    assert value(found, "f1") == 0.5
    assert found.metrics["f1"].n == 3


def test_a_perplexity_that_was_not_recorded_is_no_perfect_one() -> None:
    metric = "word_perplexity"
    found = summary_of([finished(planned("a", metric=metric), "failed", answer={})])
    assert value(found, metric) is None


def test_benchmarks_are_apart_and_in_the_order_of_planning() -> None:
    results = [
        finished(planned("a", benchmark="second"), "passed", answer={}),
        finished(planned("a", benchmark="first"), "failed", answer={}),
    ]
    found = summarize(
        [result.case for result in results], [outcome_of(each) for each in reversed(results)]
    )
    assert [(each.benchmark, value(each)) for each in found] == [("second", 1.0), ("first", 0.0)]
