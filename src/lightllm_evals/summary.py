"""A run's figures, benchmark by benchmark: what was planned, scored, and how it came out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lightllm_evals.metrics import accuracy, pass_at_k_estimate, ratio
from lightllm_evals.records import SCORED, Completion
from lightllm_evals.results import CaseResult, MetricValue, PlannedCase, weighted
from lightllm_evals.stats import Estimate, Percentiles, percentiles, unit_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the figures need of one finished case; small, since a run keeps all of them."""

    benchmark: str
    sample: str
    repeat: int
    group: str
    outcome: str
    error: str
    metrics: Mapping[str, MetricValue]
    finish_reason: str
    is_empty: bool
    output_tokens: int
    latency_s: float | None
    ttft_s: float | None
    tpot_s: float | None
    attempts: int
    integrity: str


def outcome_of(result: CaseResult) -> Outcome:
    """Returns the part of a result that a summary needs."""
    completion = result.completion
    return Outcome(
        benchmark=result.case.benchmark,
        sample=result.case.sample,
        repeat=result.case.repeat,
        group=result.case.group,
        outcome=result.verdict.outcome,
        error=result.verdict.error,
        metrics=result.verdict.metrics,
        finish_reason=completion.finish_reason if completion else "",
        is_empty=completion is not None and _is_empty(completion),
        output_tokens=completion.output_tokens if completion else 0,
        latency_s=completion.latency_s if completion else None,
        ttft_s=completion.ttft_s if completion else None,
        tpot_s=completion.tpot_s if completion else None,
        attempts=completion.attempts if completion else 0,
        integrity=str(result.verdict.verdict.get("integrity", "")),
    )


def _is_empty(completion: Completion) -> bool:
    # What scores given texts has none of its own.
    return completion.finish_reason != SCORED and not completion.text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSummary:
    """The figures of one benchmark.

    Attributes:
        benchmark: Its name.
        variant: The form; part of the score's identity.
        samples_total: Samples that the data set has.
        planned: Cases that were to be scored (samples times repeats).
        scored: Cases with a score, right or wrong.
        passed: Cases whose answer was right.
        failed: Cases whose answer was wrong.
        errors: Cases that could not be measured.
        skipped: Cases that were skipped.
        metrics: Estimates by name, the headline first.
        truncated: Completions that ended at the token limit.
        empty: Completions without any text.
        unextracted: Answers in which nothing could be read.
        retried: Completions that took more than one attempt.
        output_tokens: Tokens generated for scored and failed cases together.
        latency: Request latencies in seconds; None without any.
        ttft: Times to first token; None unless streamed.
        tpot: Times per output token; None unless streamed.
        is_generating: Its form completes prompts; others score given texts.
    """

    benchmark: str
    variant: str
    samples_total: int
    planned: int
    scored: int
    passed: int
    failed: int
    errors: int
    skipped: int
    metrics: Mapping[str, Estimate]
    truncated: int
    empty: int
    unextracted: int
    retried: int
    output_tokens: int
    latency: Percentiles | None
    ttft: Percentiles | None
    tpot: Percentiles | None
    is_generating: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether every planned case was scored."""
        return self.scored == self.planned and self.planned > 0


def summarize(
    planned: Iterable[PlannedCase], outcomes: Iterable[Outcome]
) -> list[BenchmarkSummary]:
    """Returns one summary a benchmark, in the order in which they were planned."""
    plans: dict[str, list[PlannedCase]] = defaultdict(list)
    for case in planned:
        plans[case.benchmark].append(case)
    finished: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        finished[outcome.benchmark].append(outcome)
    return [_summarize(cases, finished[name]) for name, cases in plans.items()]


def _summarize(cases: Sequence[PlannedCase], outcomes: Sequence[Outcome]) -> BenchmarkSummary:
    first = cases[0]

    def count(outcome: str) -> int:
        return sum(each.outcome == outcome for each in outcomes)

    return BenchmarkSummary(
        benchmark=first.benchmark,
        variant=first.variant,
        samples_total=first.num_samples_total,
        planned=len(cases),
        scored=count("passed") + count("failed"),
        passed=count("passed"),
        failed=count("failed"),
        errors=count("error"),
        skipped=count("skipped"),
        metrics=_metrics(first.metric, outcomes),
        truncated=sum(each.finish_reason == "length" for each in outcomes),
        empty=sum(each.is_empty for each in outcomes),
        unextracted=sum(each.error == "ExtractionError" for each in outcomes),
        retried=sum(each.attempts > 1 for each in outcomes),
        output_tokens=sum(each.output_tokens for each in outcomes),
        latency=_percentiles(each.latency_s for each in outcomes),
        ttft=_percentiles(each.ttft_s for each in outcomes),
        tpot=_percentiles(each.tpot_s for each in outcomes),
        is_generating=not first.request.scoring,
    )


def _percentiles(values: Iterable[float | None]) -> Percentiles | None:
    return percentiles([value for value in values if value is not None])


def _metrics(headline: str, outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    """Returns the headline metric, pass@k for every k that repeats allow, and the extra ones."""
    by_sample: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.outcome in {"passed", "failed"}:
            by_sample[outcome.sample].append(outcome)
    scores = [[float(each.outcome == "passed") for each in group] for group in by_sample.values()]
    most = min((len(of_sample) for of_sample in scores), default=0)
    metrics = {headline: pass_at_k_estimate(scores, 1)}
    for k in (10, 100):
        if most >= k:
            metrics[f"pass@{k}"] = pass_at_k_estimate(scores, k)
    for name in sorted({name for each in outcomes for name in each.metrics}):
        found = [_sample_metric(name, of_sample) for of_sample in by_sample.values()]
        metrics[name] = _estimate(name, [pair for pair in found if pair is not None])
    return metrics


def _sample_metric(name: str, outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Returns value and weight of a sample, each the mean of its repeats; None if it has none."""
    pairs = [weighted(each.metrics[name]) for each in outcomes if name in each.metrics]
    if not pairs:
        return None
    return sum(v for v, _ in pairs) / len(pairs), sum(w for _, w in pairs) / len(pairs)


def _estimate(name: str, pairs: Sequence[tuple[float, float]]) -> Estimate:
    values, weights = [value for value, _ in pairs], [weight for _, weight in pairs]
    is_rate = all(weight == 1 and 0 <= value <= 1 for value, weight in pairs)
    if is_rate and unit_of(name) == "share":
        return accuracy(values)
    return ratio(name, values, weights)
