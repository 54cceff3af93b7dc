"""Compare two runs of one benchmark, sample by sample."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightllm_evals.gate.identity import score_differences
from lightllm_evals.gate.scores import RunScores, SampleScores
from lightllm_evals.stats import (
    Estimate,
    Interval,
    PairedT,
    Unit,
    bootstrap_difference_interval,
    mcnemar,
    paired_difference_interval,
    paired_t,
    samples_needed,
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
        then: Headline of the shared samples in the baseline, in its own unit.
        now: Headline of the shared samples in the run.
        difference: Now minus then, with its 95 % interval; more is better, so that it has the
            unit of scores: a log-probability for a perplexity, bits with their sign turned.
        num_samples: Samples shared.
        num_clusters: Independent units among them: as many as samples where they have no groups.
        num_breakable: Of those the ones that could have fallen: for 0/1 scores, what passed then.
        is_binary: All scores are 0 or 1; otherwise broken and fixed mean fell and rose.
        broken: Ids of samples with a lower score now, in the baseline's order.
        fixed: Ids of samples with a higher score now.
        test: Name of the test that gave p.
        p_one_sided: Probability of a drop as large as this, if nothing changed.
        p_two_sided: Probability of a change as large as this, if nothing changed.
        p_smallest: The smallest one-sided p that could have come out, had all of these fallen.
        flip_rate: Share of the shared samples whose score changed.
        smallest_visible_drop: The true drop that this run would have shown with the policy's
            power; None when it could not have shown any.
        unit: What the headline's number means.
        tolerance: The drop that the policy tolerates.
        needed_for_tolerance: Samples with which a true drop as large as the tolerance would be
            told from noise; None where these are enough, or where scores are not plain 0 or 1.
    """

    then: Estimate
    now: Estimate
    difference: Estimate
    num_samples: int
    num_clusters: int
    num_breakable: int
    is_binary: bool
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    test: str
    p_one_sided: float
    p_two_sided: float
    p_smallest: float
    flip_rate: float
    smallest_visible_drop: float | None
    unit: Unit = "share"
    tolerance: float = 0.0
    needed_for_tolerance: int | None = None

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
    weights: tuple[float, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        return tuple(now - then for then, now in zip(self.then, self.now, strict=True))

    @property
    def weighted_differences(self) -> tuple[float, ...]:
        """Differences whose plain mean and spread are those of the headline's difference.

        The linearised ratio D + w (d - D), as in ``ratio_interval``; d where samples weigh 1.
        """
        pairs = list(zip(self.weights, self.differences, strict=True))
        mean = math.fsum(w * d for w, d in pairs) / len(pairs)
        return tuple(d if w == 1 else mean + w * (d - mean) for w, d in pairs)

    @property
    def is_plain(self) -> bool:
        """Samples are independent and weigh the same: counts of them say everything."""
        return self.clusters is None and all(abs(w - 1) < 1e-9 for w in self.weights)

    @property
    def num_breakable(self) -> int:
        """Independent units that could have fallen."""
        units = self.clusters or self.ids
        if not self.is_binary:
            return len(set(units))
        return len({unit for unit, then in zip(units, self.then, strict=True) if then > 0})

    @property
    def is_binary(self) -> bool:
        return all(score in {0.0, 1.0} for score in (*self.then, *self.now))


def obstacles(
    then: RunScores, now: RunScores, *, max_missing: int = 0, is_common_enough: bool = False
) -> tuple[str, ...]:
    """Returns what forbids comparing two runs' scores, each a phrase; () if nothing does.

    ``max_missing`` samples of the baseline may lack a score now. With ``is_common_enough``
    any set of common samples is accepted.
    """
    found = [str(difference) for difference in score_differences(then.identity, now.identity)]
    for name in ("metric", "aggregation"):
        before, after = getattr(then, name), getattr(now, name)
        found += [f"{name}: {before} -> {after}"] if before != after else []
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

    0/1 scores: McNemar's exact test. With groups, and where samples do not weigh the same
    (macro means), the t test, cluster-robust for groups, has to agree, so that p is the larger
    of the two. Fractional scores (repeats count as one mean a sample): the paired t test, with
    a seeded paired bootstrap for the interval. Perplexities are compared by mean
    log-probability, samples weighed by what they count.
    """
    pairs = _pairs(then, now)
    broken = tuple(i for i, d in zip(pairs.ids, pairs.differences, strict=True) if d < -1e-9)
    fixed = tuple(i for i, d in zip(pairs.ids, pairs.differences, strict=True) if d > 1e-9)
    n = len(pairs.ids)
    unit: Unit = now.unit if then.unit == "share" else then.unit
    by_t = paired_t(pairs.weighted_differences, pairs.clusters)
    one_sided, two_sided, test = _p_values(len(broken), len(fixed), by_t, pairs)
    headline_then = then.headline(pairs.ids)
    num_clusters = n if pairs.clusters is None else len(set(pairs.clusters))
    return PairedComparison(
        then=headline_then,
        now=now.headline(pairs.ids),
        difference=Estimate(
            value=sum(pairs.weighted_differences) / n,
            interval=_difference_interval(len(broken), len(fixed), by_t, pairs, unit),
            n=num_clusters,
            definition=f"now minus then, {test}",
            unit="share" if unit == "share" else "number",
        ),
        num_samples=n,
        num_clusters=num_clusters,
        num_breakable=pairs.num_breakable,
        is_binary=pairs.is_binary,
        broken=broken,
        fixed=fixed,
        test=test,
        p_one_sided=one_sided,
        p_two_sided=two_sided,
        p_smallest=0.5**pairs.num_breakable,
        flip_rate=(len(broken) + len(fixed)) / n,
        smallest_visible_drop=_visible_drop(
            (len(broken) + len(fixed)) / n,
            by_t,
            pairs,
            unit,
            limits=(alpha, power, tolerance, headline_then.value or 0.0),
        ),
        unit=unit,
        tolerance=tolerance,
        needed_for_tolerance=_needed(
            pairs, (len(broken) + len(fixed)) / n, unit, limits=(alpha, power, tolerance)
        ),
    )


def spread(then: RunScores, now: RunScores) -> PairedT | None:
    """Returns the t test of two repetitions' differences, weighted as their headline is.

    None where scores are 0 or 1 and count the same: then the number of flips says it all.
    """
    pairs = _pairs(then, now)
    if pairs.is_binary and all(abs(weight - 1) < 1e-9 for weight in pairs.weights):
        return None
    return paired_t(pairs.weighted_differences, pairs.clusters)


def _needed(
    pairs: _Pairs, flip_rate: float, unit: Unit, *, limits: tuple[float, float, float]
) -> int | None:
    alpha, power, tolerance = limits
    if unit != "share" or not (pairs.is_binary and pairs.is_plain):
        return None
    # Any drop that is seen exceeds the tolerance: what counts here is noise alone.
    needed = samples_needed(tolerance, flip_rate, alpha=alpha, power=power)
    return needed if needed is not None and needed > len(pairs.ids) else None


def _pairs(then: RunScores, now: RunScores) -> _Pairs:
    ids = tuple(sample_id for sample_id in then.samples if sample_id in now.samples)
    groups = [now.samples[i].group or f"sample {i}" for i in ids]
    return _Pairs(
        ids=ids,
        then=tuple(then.samples[i].mean for i in ids),
        now=tuple(now.samples[i].mean for i in ids),
        clusters=tuple(groups) if 1 < len(set(groups)) < len(ids) else None,
        weights=_weights(now, ids),
    )


def _weights(run: RunScores, ids: Sequence[str]) -> tuple[float, ...]:
    """Returns what each sample counts in the headline; their mean is 1."""
    samples = [run.samples[i] for i in ids]
    totals: dict[str, float] = defaultdict(float)
    for sample in samples:
        totals[sample.group if run.aggregation == "macro" else ""] += sample.weight
    if len(totals) == 1 and len({sample.weight for sample in samples}) == 1:
        return (1.0,) * len(ids)
    share = len(ids) / len(totals)
    return tuple(
        share * sample.weight / totals[sample.group if run.aggregation == "macro" else ""]
        for sample in samples
    )


def _p_values(broken: int, fixed: int, by_t: PairedT, pairs: _Pairs) -> tuple[float, float, str]:
    robust = "" if pairs.clusters is None else f" over {by_t.degrees_of_freedom + 1} groups"
    if not pairs.is_binary:
        return by_t.p_one_sided, by_t.p_two_sided, f"paired t test{robust}"
    exact = mcnemar(broken, fixed)
    if pairs.is_plain:
        return exact.p_one_sided, exact.p_two_sided, "exact McNemar test"
    kind = "weighted" if pairs.clusters is None else "cluster-robust"
    return (
        max(exact.p_one_sided, by_t.p_one_sided),
        max(exact.p_two_sided, by_t.p_two_sided),
        f"exact McNemar test and {kind} t test{robust}",
    )


def _difference_interval(
    broken: int, fixed: int, by_t: PairedT, pairs: _Pairs, unit: Unit
) -> Interval | None:
    if unit != "share":
        if not by_t.standard_error > 0:
            return None
        return bootstrap_difference_interval(pairs.weighted_differences, pairs.clusters)
    by_counts = paired_difference_interval(broken, fixed, len(pairs.ids))
    if by_t.standard_error == 0 or (pairs.is_binary and pairs.is_plain):
        return by_counts
    if pairs.is_binary:
        return t_interval(by_t.difference, by_t.standard_error, by_t.degrees_of_freedom)
    return bootstrap_difference_interval(pairs.weighted_differences, pairs.clusters)


def _visible_drop(
    flip_rate: float,
    by_t: PairedT,
    pairs: _Pairs,
    unit: Unit,
    *,
    limits: tuple[float, float, float, float],
) -> float | None:
    alpha, power, tolerance, pass_rate = limits
    num_samples = len(pairs.ids)
    if unit != "share":
        return smallest_visible_drop_by_t(
            by_t.standard_error,
            by_t.degrees_of_freedom,
            num_samples,
            alpha=alpha,
            power=power,
            tolerance=tolerance,
            is_share=False,
        )
    found: list[float | None] = []
    # Scores that did not vary at all say nothing of their spread: then the exact test, too.
    if pairs.is_binary or by_t.standard_error == 0:
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
    if not pairs.is_binary or not pairs.is_plain:
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
