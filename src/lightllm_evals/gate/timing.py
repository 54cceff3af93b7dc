"""Compare the timings of two runs of one benchmark as ratios, now to then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightllm_evals.gate.scores import RunScores, SampleScores
from lightllm_evals.stats import (
    Interval,
    percentile,
    percentile_ratio_interval,
    rate_ratio_interval,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingComparison:
    """One timing, then and now.

    Attributes:
        name: Which timing, as policies name it.
        then: In the baseline: seconds, or tokens a second.
        now: In the run.
        ratio: Now to then.
        interval: Seeded paired bootstrap interval (95 %) of the ratio.
        num_samples: Samples timed in both.
    """

    name: str
    then: float
    now: float
    ratio: float
    interval: Interval
    num_samples: int


def compare_timing(then: RunScores, now: RunScores, name: str) -> TimingComparison | None:
    """Returns the ratio of a timing, None with fewer than two samples timed in both runs.

    ``latency_p50``, ``latency_p95``, ``ttft_p50``, ``ttft_p95``: percentiles over samples of
    their mean durations. ``tokens_per_s``: output tokens by summed request time, the speed of
    one request and not of the server as a whole.
    """
    common = [(then.samples[i], now.samples[i]) for i in then.samples if i in now.samples]
    if name == "tokens_per_s":
        return _compare_rate(name, common)
    kind, _, percent = name.partition("_p")
    measure = _mean_ttft_s if kind == "ttft" else _mean_latency_s
    return _compare_percentile(name, common, measure, float(percent))


def _compare_percentile(
    name: str,
    common: Sequence[tuple[SampleScores, SampleScores]],
    measure: Callable[[SampleScores], float],
    percent: float,
) -> TimingComparison | None:
    timed = [(measure(a), measure(b)) for a, b in common if measure(a) > 0 and measure(b) > 0]
    before, after = [a for a, _ in timed], [b for _, b in timed]
    interval = percentile_ratio_interval(before, after, percent)
    value_then, value_now = percentile(before, percent), percentile(after, percent)
    if interval is None or value_then is None or value_now is None:
        return None
    return TimingComparison(
        name=name,
        then=value_then,
        now=value_now,
        ratio=value_now / value_then,
        interval=interval,
        num_samples=len(timed),
    )


def _compare_rate(
    name: str, common: Sequence[tuple[SampleScores, SampleScores]]
) -> TimingComparison | None:
    timed = [(_amounts(a), _amounts(b)) for a, b in common if _has_tokens(a) and _has_tokens(b)]
    then_tokens, then_s = [float(a) for (a, _), _ in timed], [s for (_, s), _ in timed]
    now_tokens, now_s = [float(a) for _, (a, _) in timed], [s for _, (_, s) in timed]
    interval = rate_ratio_interval((then_tokens, then_s), (now_tokens, now_s))
    if interval is None:
        return None
    rate_then, rate_now = sum(then_tokens) / sum(then_s), sum(now_tokens) / sum(now_s)
    return TimingComparison(
        name=name,
        then=rate_then,
        now=rate_now,
        ratio=rate_now / rate_then,
        interval=interval,
        num_samples=len(timed),
    )


def _mean_latency_s(sample: SampleScores) -> float:
    return math.fsum(sample.latency_s) / len(sample.latency_s) if sample.latency_s else 0.0


def _mean_ttft_s(sample: SampleScores) -> float:
    return math.fsum(sample.ttft_s) / len(sample.ttft_s) if sample.ttft_s else 0.0


def _amounts(sample: SampleScores) -> tuple[int, float]:
    return sum(sample.output_tokens), math.fsum(sample.latency_s)


def _has_tokens(sample: SampleScores) -> bool:
    return sum(sample.output_tokens) > 0 and math.fsum(sample.latency_s) > 0
