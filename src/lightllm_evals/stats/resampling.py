"""Seeded paired bootstrap intervals: differences of scores and ratios of timings."""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lightllm_evals.stats.intervals import Interval

NUM_RESAMPLES = 2_000
SEED = 20_260_101

# Resamples held in memory at once: 100 of 14,042 samples (MMLU) are 11 MB an array.
_BATCH = 100


def bootstrap_difference_interval(
    differences: Sequence[float],
    clusters: Sequence[str] | None = None,
    confidence: float = 0.95,
    seed: int = SEED,
) -> Interval:
    """Returns the bootstrap interval of the mean of paired differences, shape [num_samples].

    Pairs are drawn together, and clusters as a whole. The same seed gives the same interval.
    [-1, 1] with fewer than two pairs or clusters.

    Source: B. Efron and R. Tibshirani, "Bootstrap Methods for Standard Errors, Confidence
    Intervals, and Other Measures of Statistical Accuracy", Statistical Science 1 (1986),
    https://doi.org/10.1214/ss/1177013815, the percentile method of scipy's ``bootstrap``.
    """
    import numpy as np

    names = clusters if clusters is not None else [str(i) for i in range(len(differences))]
    _, index = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(differences, dtype=float))
    sizes = np.bincount(index).astype(float)

    def mean(sums: Any, sizes: Any, axis: int) -> Any:
        return np.sum(sums, axis=axis) / np.sum(sizes, axis=axis)

    return _interval((sums, sizes), mean, confidence, seed) or Interval(-1.0, 1.0)


def percentile_ratio_interval(
    then: Sequence[float],
    now: Sequence[float],
    percent: float,
    confidence: float = 0.95,
    seed: int = SEED,
) -> Interval | None:
    """Returns the bootstrap interval of a percentile's ratio, now to then; None below 2 pairs.

    ``then`` and ``now`` have shape [num_samples] and hold the same samples' positive durations
    in the same order. A run's requests share one machine, so the true uncertainty is larger.
    """
    import numpy as np

    def ratio(then: Any, now: Any, axis: int) -> Any:
        return np.percentile(now, percent, axis=axis) / np.percentile(then, percent, axis=axis)

    return _interval((then, now), ratio, confidence, seed)


def rate_ratio_interval(
    then: tuple[Sequence[float], Sequence[float]],
    now: tuple[Sequence[float], Sequence[float]],
    confidence: float = 0.95,
    seed: int = SEED,
) -> Interval | None:
    """Returns the bootstrap interval of a throughput's ratio, now to then; None below 2 pairs.

    ``then`` and ``now`` are (amounts, durations), each of shape [num_samples] and of the same
    samples; a throughput is the sum of amounts over the sum of durations.
    """
    import numpy as np

    def ratio(amount_then: Any, s_then: Any, amount_now: Any, s_now: Any, axis: int) -> Any:
        rate_now = np.sum(amount_now, axis=axis) / np.sum(s_now, axis=axis)
        return rate_now / (np.sum(amount_then, axis=axis) / np.sum(s_then, axis=axis))

    return _interval((*then, *now), ratio, confidence, seed)


def _interval(
    data: Sequence[Any], statistic: Callable[..., Any], confidence: float, seed: int
) -> Interval | None:
    import numpy as np
    from scipy.stats import bootstrap

    if len(data[0]) < 2:
        return None
    found = bootstrap(
        tuple(np.asarray(values, dtype=float) for values in data),
        statistic,
        n_resamples=NUM_RESAMPLES,
        batch=_BATCH,
        vectorized=True,
        paired=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
