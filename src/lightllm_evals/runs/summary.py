"""A run's figures, benchmark by benchmark: what was planned, scored, and how it came out."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lightllm_evals.metrics import Part, aggregate, pass_at_k_estimate
from lightllm_evals.records import SCORED, Aggregation, Completion
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
    num_think_blocks: int | None = None
    is_think_unclosed: bool = False


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
        num_think_blocks=result.verdict.num_think_blocks,
        is_think_unclosed=result.verdict.is_think_unclosed,
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
        metrics: Estimates by name, the headline first; where samples have groups, the
            headline's other aggregation is next.
        truncated: Completions that ended at the token limit.
        empty: Completions without any text.
        unextracted: Answers in which nothing could be read.
        retried: Completions that took more than one attempt.
        output_tokens: Tokens generated for scored and failed cases together.
        latency: Request latencies in seconds; None without any.
        ttft: Times to first token; None unless streamed.
        tpot: Times per output token; None unless streamed.
        is_generating: Its form completes prompts; others score given texts.
        think_blocks: Blocks of thinking taken out of completions; None where the profile marks
            none.
        think_unclosed: Completions that ended while the model was thinking.
        groups: The headline of each subject or task, {} where there are none.
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
    think_blocks: int | None = None
    think_unclosed: int = 0
    groups: Mapping[str, Estimate] = field(default_factory=dict)

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
    metrics, groups = _figures(first, outcomes)

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
        metrics=metrics,
        truncated=sum(each.finish_reason == "length" for each in outcomes),
        empty=sum(each.is_empty for each in outcomes),
        unextracted=sum(each.error == "ExtractionError" for each in outcomes),
        retried=sum(each.attempts > 1 for each in outcomes),
        output_tokens=sum(each.output_tokens for each in outcomes),
        latency=_percentiles(each.latency_s for each in outcomes),
        ttft=_percentiles(each.ttft_s for each in outcomes),
        tpot=_percentiles(each.tpot_s for each in outcomes),
        is_generating=not first.request.scoring,
        think_blocks=_think_blocks(outcomes),
        think_unclosed=sum(each.is_think_unclosed for each in outcomes),
        groups=groups,
    )


def _percentiles(values: Iterable[float | None]) -> Percentiles | None:
    return percentiles([value for value in values if value is not None])


def headline_part(metric: str, outcome: Outcome) -> tuple[float, float] | None:
    """Returns value and weight of a scored case in its benchmark's headline metric.

    What the case recorded under that name; else 1 where it passed and 0 where it failed. None
    for a perplexity and for bits that were not recorded: 0 would be a perfect score.
    """
    if metric in outcome.metrics:
        return weighted(outcome.metrics[metric])
    if unit_of(metric) != "share":
        return None
    return float(outcome.outcome == "passed"), 1.0


def _figures(
    first: PlannedCase, outcomes: Sequence[Outcome]
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Returns the metrics, the headline first, and the headline of every group of samples."""
    by_sample: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.outcome in {"passed", "failed"}:
            by_sample[outcome.sample].append(outcome)
    samples = list(by_sample.values())
    headline, how = first.metric, first.aggregation
    parts = _parts(samples, functools.partial(headline_part, headline))
    groups = _by_group(headline, parts)
    is_recorded = any(headline in each.metrics for each in outcomes)
    scores = [[float(each.outcome == "passed") for each in of_sample] for of_sample in samples]
    if groups:
        other: Aggregation = "micro" if how == "macro" else "macro"
        metrics = {
            headline: aggregate(headline, parts, how),
            f"{headline}_{other}": aggregate(headline, parts, other),
        }
    elif is_recorded or unit_of(headline) != "share":
        metrics = {headline: aggregate(headline, parts)}
    else:
        metrics = {headline: pass_at_k_estimate(scores, 1)}
    most = min(map(len, scores), default=0)
    for k in (10, 100):
        if most >= k:
            metrics[f"pass@{k}"] = pass_at_k_estimate(scores, k)
    for name in sorted({name for each in outcomes for name in each.metrics} - {headline}):
        metrics[name] = aggregate(name, _parts(samples, functools.partial(_recorded, name)), how)
    return metrics, groups


def _by_group(name: str, parts: Sequence[Part]) -> dict[str, Estimate]:
    """Returns a metric of every group, {} where there is one or none."""
    by_group: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_group[part.group].append(part)
    if len(by_group) < 2:
        return {}
    return {group: aggregate(name, of_group) for group, of_group in by_group.items()}


def _recorded(name: str, outcome: Outcome) -> tuple[float, float] | None:
    return weighted(outcome.metrics[name]) if name in outcome.metrics else None


def _parts(
    samples: Iterable[Sequence[Outcome]],
    of_case: Callable[[Outcome], tuple[float, float] | None],
) -> list[Part]:
    """Returns each sample's mean value and weight over its repeats; none for who has none."""
    parts = []
    for of_sample in samples:
        pairs = [pair for pair in map(of_case, of_sample) if pair is not None]
        if pairs:
            values, weights = zip(*pairs, strict=True)
            value, weight = sum(values) / len(pairs), sum(weights) / len(pairs)
            parts.append(Part(value, weight, of_sample[0].group))
    return parts


def _think_blocks(outcomes: Sequence[Outcome]) -> int | None:
    found = [each.num_think_blocks for each in outcomes if each.num_think_blocks is not None]
    return sum(found) if found else None
