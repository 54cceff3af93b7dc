"""How much scores move between repetitions of one run, and what policy that allows."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate.comparison import spread
from lightllm_evals.gate.scores import RunScores, fold
from lightllm_evals.stats import (
    samples_needed,
    smallest_visible_drop,
    smallest_visible_drop_by_t,
    tolerance_of_noise,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What repetitions of one run say about its noise.

    Attributes:
        benchmark: The benchmark's name.
        num_runs: Repetitions.
        num_samples: Samples in each.
        scores: The headline metric of each repetition.
        is_binary: Scores are 0 or 1 in each repetition, so that a sample that changes flips.
        is_by_flips: They also weigh the same, so that the number of flips says it all.
        flipped: Ids of the samples whose score was not the same in all of them.
        flip_rate: Share of samples whose score differs between two of them, over all pairs.
        smallest_visible_drop: What a run can see by the recommended policy, at 80 % power.
        needed_for_one_point: Samples with which a drop of one point would be seen, without a
            tolerance; None where none would do, or scores are not 0 or 1 or do not weigh the same.
        tolerance: What noise alone exceeds in at most one run of 20, as a share.
        policy: The recommended policy, as ``parse_policy`` reads it.
    """

    benchmark: str
    num_runs: int
    num_samples: int
    scores: tuple[float, ...]
    is_binary: bool
    is_by_flips: bool
    flipped: tuple[str, ...]
    flip_rate: float
    smallest_visible_drop: float | None
    needed_for_one_point: int | None
    tolerance: float
    policy: str


def flip_rate(run: RunScores) -> float | None:
    """Returns the mean share of samples that differ between two of a baseline's folded runs.

    None for a single run. A sample differs by how far its two mean scores are apart: 1 between
    a pass and a failure, less where repeats fail in part.
    """
    by_run = _by_run(run)
    if run.num_runs < 2 or not by_run:
        return None
    pairs = math.comb(run.num_runs, 2)
    return math.fsum(
        abs(a - b) for means in by_run.values() for a, b in itertools.combinations(means, 2)
    ) / (pairs * len(by_run))


def noise(runs: Sequence[RunScores], alpha: float = 0.05) -> Noise:
    """Returns what two or more repetitions of a run say about its noise.

    Where scores are 0 or 1 and weigh the same, from the number of flips. Else from the standard
    error of the headline's difference between two repetitions, as the gate's t test has it: by
    noise alone a drop exceeds t(1 - alpha) standard errors in a share alpha of the runs.

    Raises:
        ConfigError: They are no repetitions of each other, incomplete, or fewer than two.
    """
    folded = fold(runs)
    rate = flip_rate(folded)
    if rate is None:
        raise ConfigError("Noise shows only between runs; give at least two of the same settings.")
    by_run = _by_run(folded)
    n = len(by_run)
    parts = _parts(folded)
    error, degrees_of_freedom = _standard_error(parts)
    allowed = (
        tolerance_of_noise(n, rate, alpha)
        if error is None
        else max(1 / n, _quantile(1 - alpha, degrees_of_freedom) * error)
    )
    # Rounded up to the tenth of a point in which the policy is written.
    tenths = math.ceil(1000 * allowed - 1e-9)
    tolerance = tenths / 1000
    return Noise(
        benchmark=folded.identity.benchmark,
        num_runs=folded.num_runs,
        num_samples=n,
        scores=tuple(part.headline().value or 0.0 for part in parts),
        is_binary=all(mean in {0.0, 1.0} for means in by_run.values() for mean in means),
        is_by_flips=error is None,
        flipped=tuple(i for i, means in by_run.items() if len(set(means)) > 1),
        flip_rate=rate,
        smallest_visible_drop=smallest_visible_drop(
            n, rate, alpha=alpha, tolerance=tolerance, pass_rate=folded.headline().value or 0.0
        )
        if error is None
        else smallest_visible_drop_by_t(
            error, degrees_of_freedom, n, alpha=alpha, tolerance=tolerance
        ),
        needed_for_one_point=samples_needed(0.01, rate, alpha=alpha) if error is None else None,
        tolerance=tolerance,
        policy=f"{folded.identity.benchmark}: drop<={tenths / 10:g}, alpha={alpha:g}",
    )


def _parts(run: RunScores) -> list[RunScores]:
    """Returns the runs that were folded into one."""
    by_run = _by_run(run)
    return [
        dataclasses.replace(
            run,
            samples={
                sample_id: dataclasses.replace(sample, scores=(by_run[sample_id][i],))
                for sample_id, sample in run.samples.items()
            },
            num_runs=1,
        )
        for i in range(run.num_runs)
    ]


def _standard_error(parts: Sequence[RunScores]) -> tuple[float | None, int]:
    """Returns that of the difference of two runs, and its degrees; None where flips say it."""
    found = [spread(then, now) for then, now in itertools.combinations(parts, 2)]
    known = [each for each in found if each is not None and not math.isnan(each.standard_error)]
    if len(known) < len(found) or not known:
        return None, 0
    error = math.sqrt(math.fsum(each.standard_error**2 for each in known) / len(known))
    return error, min(each.degrees_of_freedom for each in known)


def _quantile(probability: float, degrees_of_freedom: int) -> float:
    from scipy.stats import t  # noqa: PLC0415  # half a second that only this command needs

    return float(t.ppf(probability, degrees_of_freedom))


def _by_run(run: RunScores) -> dict[str, list[float]]:
    """Returns each sample's mean score in each folded run."""
    found = {}
    for sample_id, sample in run.samples.items():
        size = len(sample.scores) // run.num_runs
        parts = [sample.scores[i * size : (i + 1) * size] for i in range(run.num_runs)]
        found[sample_id] = [sum(part) / size for part in parts]
    return found
