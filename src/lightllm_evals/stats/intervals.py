"""Confidence intervals of rates and means, and what they say with no data."""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from lightllm_evals.stats.units import Unit


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that stands for many, and how far it can be trusted.

    Attributes:
        value: The estimate; None where there is no data.
        interval: Its confidence interval; None where none can be given.
        n: Independent observations behind it (samples; clusters where they are clustered).
        definition: How value and interval were computed, in a few words, for reports.
        unit: What the number means.
    """

    value: float | None
    interval: Interval | None
    n: int
    definition: str
    unit: Unit = "share"


UNIT = Interval(0.0, 1.0)
"""All that is known of a rate without data."""


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> Interval:
    """Returns Wilson's score interval of a rate, within [0, 1]; [0, 1] when total is 0.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22 (1927), https://doi.org/10.1080/01621459.1927.10502953. Written out, as
    scipy's ``binomtest`` has it: every run needs it, and scipy takes a second to import.

    Raises:
        ValueError: Not 0 <= successes <= total, or confidence is not in (0, 1).
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} successes cannot come of {total} trials.")
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence is between 0 and 1, not {confidence}.")
    if total == 0:
        return UNIT
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    failures = total - successes
    middle = successes + z**2 / 2
    reach = z * math.sqrt(successes * failures / total + z**2 / 4)
    # Both ends are exact where nothing or everything succeeded.
    low = (middle - reach) / (total + z**2) if successes else 0.0
    high = (middle + reach) / (total + z**2) if failures else 1.0
    return Interval(low, high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Returns Student's t interval of the mean of independent scores in [0, 1], clipped to it.

    With repeats give one mean a sample: a sample is a cluster of its repeats, and only
    samples are independent. With fewer than two values it is [0, 1]. Where no two values
    differ, t would claim certainty; Wilson's interval at that mean is given instead, which
    is never too narrow since no score in [0, 1] varies more than a 0/1 score.

    Source: E. Miller, "Adding Error Bars to Evals" (2024), sections 2 and 3,
    https://arxiv.org/abs/2411.00640; t instead of its normal quantile, for small n.
    """
    import numpy as np

    if len(values) < 2:
        return UNIT
    scores = np.asarray(values, dtype=float)
    standard_error = float(scores.std(ddof=1)) / len(scores) ** 0.5
    return _unit_interval(float(scores.mean()), standard_error, len(scores), confidence)


def clustered_mean_interval(
    values: Sequence[float], clusters: Sequence[str], confidence: float = 0.95
) -> Interval:
    """Returns the interval of the mean of scores in [0, 1] that come in clusters.

    ``values`` and ``clusters`` have shape [num_samples]; a cluster is a subject or a passage
    whose samples succeed and fail together. As ``mean_interval``, over clusters.
    """
    import numpy as np

    num_clusters = len(set(clusters))
    if num_clusters < 2:
        return UNIT
    mean = float(np.mean(values))
    return _unit_interval(
        mean, clustered_standard_error(values, clusters), num_clusters, confidence
    )


def ratio_interval(
    values: Sequence[float],
    weights: Sequence[float],
    clusters: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Returns the interval of the ratio R = sum(values) / sum(weights) over samples.

    ``values`` y and ``weights`` x have shape [num_samples], and ``clusters`` too where samples
    come in groups. Student's t with the linearised (delta method) variance

        n / (n - 1) * sum((y - R x)^2) / sum(x)^2

    with residuals summed within a cluster before they are squared. With weights of 1 it is the
    t interval of a mean. Shares (0 <= y <= x everywhere) are clipped to [0, 1], and without
    any variance have Wilson's interval, as ``mean_interval`` does. None without weight, and for
    all else than shares with fewer than two observations or no variance.

    Source: W. G. Cochran, "Sampling Techniques", 3rd edition (1977), chapter 6 (ratio
    estimators), ISBN 0-471-16240-X; for clusters: Cameron and Miller (2015), as in
    ``clustered_standard_error``.
    """
    import numpy as np

    y, x = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    total = float(x.sum()) if len(x) else 0.0
    if total <= 0:
        return None
    is_share = bool(np.all((y >= 0) & (y <= x)))
    ratio = float(y.sum()) / total
    labels = [str(i) for i in range(len(y))] if clusters is None else list(clusters)
    num = len(set(labels))
    if num < 2:
        return UNIT if is_share else None
    # The residuals have mean 0, and dividing by the mean weight makes R's error of theirs.
    error = clustered_standard_error(list(y - ratio * x), labels) / (total / len(x))
    if is_share:
        return _unit_interval(ratio, error, num, confidence)
    if error <= 1e-12 * abs(ratio):
        return None
    return t_interval(ratio, error, num - 1, confidence)


def clustered_standard_error(values: Sequence[float], clusters: Sequence[str]) -> float:
    """Returns the cluster-robust standard error of the mean of ``values``, NaN for one cluster.

    Residuals are summed within a cluster before they are squared, and G/(G-1) corrects for
    few clusters (CR1). Clusters of one sample each give the ordinary standard error.

    Source: A. C. Cameron and D. L. Miller, "A Practitioner's Guide to Cluster-Robust
    Inference", J. Human Resources 50 (2015), https://doi.org/10.3368/jhr.50.2.317; for
    evals: E. Miller (2024), section 2.2, https://arxiv.org/abs/2411.00640.
    """
    import numpy as np

    scores = np.asarray(values, dtype=float)
    _, index = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(index, weights=scores - scores.mean())
    num_clusters = len(sums)
    if num_clusters < 2:
        return float("nan")
    correction = num_clusters / (num_clusters - 1)
    return float(np.sqrt(correction * np.sum(sums**2)) / len(scores))


def t_interval(
    mean: float, standard_error: float, degrees_of_freedom: int, confidence: float = 0.95
) -> Interval:
    """Returns Student's t interval of a mean whose standard error is known and not zero."""
    # The quantile that scipy.stats has, too, without half a second more of imports.
    from scipy.special import stdtrit

    reach = float(stdtrit(degrees_of_freedom, 0.5 + confidence / 2)) * standard_error
    return Interval(mean - reach, mean + reach)


def _unit_interval(mean: float, standard_error: float, n: int, confidence: float) -> Interval:
    if standard_error < 1e-12:
        return _wilson_of_mean(mean, n, confidence)
    found = t_interval(mean, standard_error, n - 1, confidence)
    return Interval(max(0.0, found.low), min(1.0, found.high))


def _wilson_of_mean(mean: float, n: int, confidence: float) -> Interval:
    # Wilson's is for whole successes: bracket a mean between them.
    below, above = math.floor(mean * n + 1e-9), math.ceil(mean * n - 1e-9)
    return Interval(
        wilson_interval(below, n, confidence).low, wilson_interval(above, n, confidence).high
    )
