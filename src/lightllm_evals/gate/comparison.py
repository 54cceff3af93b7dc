"""Compare two runs of one benchmark, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightllm_evals.gate.identity import score_differences
from lightllm_evals.gate.scores import RunScores, SampleScores
from lightllm_evals.metrics import accuracy
from lightllm_evals.stats import (
    Estimate,
    Interval,
    PairedT,
    bootstrap_difference_interval,
    mcnemar,
    paired_difference_interval,
    paired_t,
    smallest_visible_drop,
    smallest_visible_drop_by_t,
)
from lightllm_evals.stats.intervals import t_interval

FEW_CLUSTERS = 20
"""Below this many clusters their robust errors tend to be too small.

Source: A. C. Cameron and D. L. Miller (2015), section VI, https://doi.org/10.3368/jhr.50.2.317:
"few" is less than 20 to 50.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """What the samples that two runs share say about a change.

    Attributes:
        then: Mean score of the shared samples in the baseline.
        now: Mean score of the shared samples in the run.
        difference: Now minus then, with its 95 % interval.
        num_samples: Samples shared.
        num_clusters: Independent units among them: as many as samples where they have no groups.
        is_binary: All scores are 0 or 1; otherwise broken and fixed mean fell and rose.
        broken: Ids of samples with a lower score now, in the baseline's order.
        fixed: Ids of samples with a higher score now.
        test: Name of the test that gave p.
        p_one_sided: Probability of a drop as large as this, if nothing changed.
        p_two_sided: Probability of a change as large as this, if nothing changed.
        p_smallest: The smallest one-sided p that so many samples could give.
        flip_rate: Share of the shared samples whose score changed.
        smallest_visible_drop: The true drop that this run would have shown with the policy's
            power; None when it could not have shown any.
    """

    then: Estimate
    now: Estimate
    difference: Estimate
    num_samples: int
    num_clusters: int
    is_binary: bool
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    test: str
    p_one_sided: float
    p_two_sided: float
    p_smallest: float
    flip_rate: float
    smallest_visible_drop: float | None

    @property
    def drop(self) -> float:
        """Then minus now: positive when the score fell."""
        return -(self.difference.value or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    ids: tuple[str, ...]
    then: tuple[float, ...]
    now: tuple[float, ...]
    clusters: tuple[str, ...] | None

    @property
    def differences(self) -> tuple[float, ...]:
        return tuple(now - then for then, now in zip(self.then, self.now, strict=True))


def obstacles(
    then: RunScores, now: RunScores, *, max_missing: int = 0, is_common_enough: bool = False
) -> tuple[str, ...]:
    """Returns what forbids comparing two runs' scores, each a phrase; () if nothing does.

    ``max_missing`` samples of the baseline may lack a score now. With ``is_common_enough``
    any set of common samples is accepted.
    """
    found = [str(difference) for difference in score_differences(then.identity, now.identity)]
    common = then.samples.keys() & now.samples.keys()
    found += _hash_differences(then.samples, now.samples, common)
    missing = sorted(then.samples.keys() - common)
    extra = sorted(now.samples.keys() - common)
    if not common:
        found.append("no sample is in both")
    elif not is_common_enough:
        if len(missing) > max_missing:
            found.append(f"{_counted(missing)} of the baseline not run")
        if extra:
            found.append(f"{_counted(extra)} not in the baseline")
    return tuple(found)


def compare(
    then: RunScores,
    now: RunScores,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    tolerance: float = 0.0,
) -> PairedComparison:
    """Returns the paired comparison of two comparable runs; both must share a sample.

    0/1 scores: McNemar's exact test. With groups the cluster-robust t test has to agree, so
    that p is the larger of the two. Fractional scores (repeats count as one mean a sample):
    the paired t test, with a seeded paired bootstrap for the interval.
    """
    pairs = _pairs(then, now)
    broken = tuple(i for i, d in zip(pairs.ids, pairs.differences, strict=True) if d < -1e-9)
    fixed = tuple(i for i, d in zip(pairs.ids, pairs.differences, strict=True) if d > 1e-9)
    n = len(pairs.ids)
    is_binary = all(score in {0.0, 1.0} for score in (*pairs.then, *pairs.now))
    by_t = paired_t(pairs.differences, pairs.clusters)
    one_sided, two_sided, test = _p_values(len(broken), len(fixed), by_t, pairs, is_binary)
    mean_then, mean_now = accuracy(pairs.then), accuracy(pairs.now)
    num_clusters = n if pairs.clusters is None else len(set(pairs.clusters))
    return PairedComparison(
        then=mean_then,
        now=mean_now,
        difference=Estimate(
            value=sum(pairs.differences) / n,
            interval=_difference_interval(len(broken), len(fixed), by_t, pairs, is_binary),
            n=num_clusters,
            definition=f"now minus then, {test}",
        ),
        num_samples=n,
        num_clusters=num_clusters,
        is_binary=is_binary,
        broken=broken,
        fixed=fixed,
        test=test,
        p_one_sided=one_sided,
        p_two_sided=two_sided,
        p_smallest=0.5**num_clusters,
        flip_rate=(len(broken) + len(fixed)) / n,
        smallest_visible_drop=_visible_drop(
            (len(broken) + len(fixed)) / n,
            by_t,
            n,
            is_exact=is_binary,
            is_clustered=pairs.clusters is not None,
            limits=(alpha, power, tolerance, mean_then.value or 0.0),
        ),
    )


def _pairs(then: RunScores, now: RunScores) -> _Pairs:
    ids = tuple(sample_id for sample_id in then.samples if sample_id in now.samples)
    groups = [now.samples[i].group or f"sample {i}" for i in ids]
    return _Pairs(
        ids=ids,
        then=tuple(then.samples[i].mean for i in ids),
        now=tuple(now.samples[i].mean for i in ids),
        clusters=tuple(groups) if 1 < len(set(groups)) < len(ids) else None,
    )


def _p_values(
    broken: int, fixed: int, by_t: PairedT, pairs: _Pairs, is_binary: bool
) -> tuple[float, float, str]:
    robust = "" if pairs.clusters is None else f" over {by_t.degrees_of_freedom + 1} groups"
    if not is_binary:
        return by_t.p_one_sided, by_t.p_two_sided, f"paired t test{robust}"
    exact = mcnemar(broken, fixed)
    if pairs.clusters is None:
        return exact.p_one_sided, exact.p_two_sided, "exact McNemar test"
    return (
        max(exact.p_one_sided, by_t.p_one_sided),
        max(exact.p_two_sided, by_t.p_two_sided),
        f"exact McNemar test and cluster-robust t test{robust}",
    )


def _difference_interval(
    broken: int, fixed: int, by_t: PairedT, pairs: _Pairs, is_binary: bool
) -> Interval:
    by_counts = paired_difference_interval(broken, fixed, len(pairs.ids))
    if by_t.standard_error == 0 or (is_binary and pairs.clusters is None):
        return by_counts
    if is_binary:
        return t_interval(by_t.difference, by_t.standard_error, by_t.degrees_of_freedom)
    return bootstrap_difference_interval(pairs.differences, pairs.clusters)


def _visible_drop(
    flip_rate: float,
    by_t: PairedT,
    num_samples: int,
    *,
    is_exact: bool,
    is_clustered: bool,
    limits: tuple[float, float, float, float],
) -> float | None:
    alpha, power, tolerance, pass_rate = limits
    found: list[float | None] = []
    # Scores that did not vary at all say nothing of their spread: then the exact test, too.
    if is_exact or by_t.standard_error == 0:
        found.append(
            smallest_visible_drop(
                num_samples,
                flip_rate,
                alpha=alpha,
                power=power,
                tolerance=tolerance,
                pass_rate=pass_rate,
            )
        )
    if not is_exact or is_clustered:
        found.append(
            smallest_visible_drop_by_t(
                by_t.standard_error,
                by_t.degrees_of_freedom,
                num_samples,
                alpha=alpha,
                power=power,
                tolerance=tolerance,
            )
        )
    known = [drop for drop in found if drop is not None]
    return max(known) if len(known) == len(found) and max(known) <= pass_rate else None


def _hash_differences(
    then: Mapping[str, SampleScores], now: Mapping[str, SampleScores], common: set[str]
) -> list[str]:
    found = []
    for name in ("sample", "prompt"):
        hashes = (
            (i, getattr(then[i], f"{name}_hash"), getattr(now[i], f"{name}_hash")) for i in common
        )
        if differing := sorted(i for i, a, b in hashes if a and b and a != b):
            what = "records" if name == "sample" else "prompts"
            found.append(f"{what} of {_counted(differing)}")
    return found


def _counted(ids: Sequence[str]) -> str:
    return f"1 sample ({ids[0]})" if len(ids) == 1 else f"{len(ids)} samples ({ids[0]}, ...)"
