"""Tests of paired scores: the same samples, judged then and now.

A sample is *broken* when it passed then and fails now, *fixed* the other way round. Differences
are now minus then, so that a drop is negative.
"""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightllm_evals.stats.intervals import Interval, clustered_standard_error

_NO_VARIATION = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """McNemar's exact test of 0/1 scores.

    Attributes:
        broken: Samples that passed then and fail now.
        fixed: Samples that failed then and pass now.
        p_two_sided: Probability of a split as uneven as this, if nothing changed.
        p_one_sided: Probability of as many broken ones or more, if nothing changed.
    """

    broken: int
    fixed: int
    p_two_sided: float
    p_one_sided: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedT:
    """Student's paired t test, over clusters where samples come in clusters.

    Attributes:
        difference: Mean of now minus then.
        standard_error: Of the difference; cluster-robust where there are clusters.
        degrees_of_freedom: Independent observations less one.
        p_two_sided: Probability of a difference as large as this, if nothing changed.
        p_one_sided: Probability of a drop as large as this or larger, if nothing changed.
    """

    difference: float
    standard_error: float
    degrees_of_freedom: int
    p_two_sided: float
    p_one_sided: float


def mcnemar(broken: int, fixed: int) -> McNemar:
    """Returns McNemar's exact test; both p are 1 when no sample changed.

    If nothing changed, a sample that flips is as likely broken as fixed: the broken ones are
    binomial with probability 1/2. No approximation, so it holds for any number of flips.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 12 (1947), https://doi.org/10.1007/BF02295996;
    the exact form by scipy's ``binomtest``.

    Raises:
        ValueError: A count is negative.
    """
    from scipy.stats import binomtest

    if broken < 0 or fixed < 0:
        raise ValueError(f"counts cannot be negative: {broken} broken, {fixed} fixed")
    if broken + fixed == 0:
        return McNemar(broken=0, fixed=0, p_two_sided=1.0, p_one_sided=1.0)
    two_sided, one_sided = (
        float(binomtest(broken, broken + fixed, 0.5, alternative=alternative).pvalue)
        for alternative in ("two-sided", "greater")
    )
    return McNemar(broken=broken, fixed=fixed, p_two_sided=two_sided, p_one_sided=one_sided)


def paired_difference_interval(
    broken: int, fixed: int, num_samples: int, confidence: float = 0.95
) -> Interval:
    """Returns the interval of the difference of two paired rates, now minus then.

    Wald's interval after half a sample was added to each of the four cells, clipped to
    [-1, 1]: it keeps its coverage with few or no flips, where Wald's own has no width.
    [-1, 1] without samples.

    Source: A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24 (2005), https://doi.org/10.1002/sim.1781.
    """
    from scipy.stats import norm

    if num_samples == 0:
        return Interval(-1.0, 1.0)
    total = num_samples + 2
    difference = (fixed - broken) / total
    variance = ((broken + fixed + 1) - (fixed - broken) ** 2 / total) / total**2
    half_width = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt(variance)
    return Interval(max(-1.0, difference - half_width), min(1.0, difference + half_width))


def paired_t(differences: Sequence[float], clusters: Sequence[str] | None = None) -> PairedT:
    """Returns the paired t test of ``differences`` (now minus then), of shape [num_samples].

    With ``clusters`` the standard error is cluster-robust and the degrees of freedom are the
    clusters less one. Where the differences do not vary at all, t is not defined: p is then
    that of the sign test, 2^-n for a drop in each of n clusters, and 1 if nothing changed.
    Both p are 1 with fewer than two clusters.

    Source: Student, "The Probable Error of a Mean", Biometrika 6 (1908),
    https://doi.org/10.1093/biomet/6.1.1, by scipy's ``ttest_1samp``; clusters: E. Miller,
    "Adding Error Bars to Evals" (2024), section 4, https://arxiv.org/abs/2411.00640.
    """
    from scipy.stats import t, ttest_1samp

    n = len(differences if clusters is None else set(clusters))
    mean = sum(differences) / len(differences) if differences else 0.0
    if n < 2:
        return _paired_t(mean, math.nan, n, 1.0, 1.0)
    names = clusters if clusters is not None else [str(i) for i in range(n)]
    error = clustered_standard_error(differences, names)
    if error < _NO_VARIATION:
        one_sided = 0.5**n if mean < -_NO_VARIATION else 1.0
        return _paired_t(
            mean, 0.0, n, 1.0 if abs(mean) < _NO_VARIATION else 0.5 ** (n - 1), one_sided
        )
    if clusters is None:
        two_sided = float(ttest_1samp(differences, 0.0).pvalue)
        one_sided = float(ttest_1samp(differences, 0.0, alternative="less").pvalue)
    else:
        two_sided = 2 * float(t.sf(abs(mean) / error, n - 1))
        one_sided = float(t.cdf(mean / error, n - 1))
    return _paired_t(mean, error, n, two_sided, one_sided)


def _paired_t(
    difference: float, standard_error: float, n: int, two_sided: float, one_sided: float
) -> PairedT:
    return PairedT(
        difference=difference,
        standard_error=standard_error,
        degrees_of_freedom=max(0, n - 1),
        p_two_sided=two_sided,
        p_one_sided=one_sided,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Returns Holm's adjusted p values, in the order given.

    Of several benchmarks one looks bad by chance more often than any single one does. Rejecting
    where the adjusted p is at most alpha keeps the probability of any false alarm at alpha.

    Source: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian J.
    of Statistics 6 (1979), https://www.jstor.org/stable/4615733. scipy has no Holm.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)
