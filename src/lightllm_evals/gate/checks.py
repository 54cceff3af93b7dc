"""The checks that make up a benchmark's verdict, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from lightllm_evals.gate.comparison import PairedComparison
from lightllm_evals.gate.identity import timing_differences
from lightllm_evals.gate.policy import BenchmarkPolicy, TimingLimit
from lightllm_evals.gate.scores import RunScores
from lightllm_evals.gate.timing import TimingComparison, compare_timing
from lightllm_evals.stats import Unit, change_text, change_unit, unit_of, value_text

_ROUNDING = 1e-9


class Verdict(str, Enum):
    """What the gate says, from best to worst."""

    PASS = "PASS"  # noqa: S105  # a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_COMPARABLE = "NOT COMPARABLE"
    INCOMPLETE = "INCOMPLETE"
    REGRESSED = "REGRESSED"

    @property
    def severity(self) -> int:
        """0 for the best verdict, more for worse ones."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that the policy asks for.

    Attributes:
        name: What is checked, as policies name it: "drop", "pass@1", "latency_p95".
        verdict: What came out.
        reason: Why, as a phrase with the values.
    """

    name: str
    verdict: Verdict
    reason: str


def check_complete(run: RunScores, policy: BenchmarkPolicy) -> Check:
    """Returns whether enough of what was planned was scored to judge the run at all."""
    missing = max(run.planned - run.scored, run.errors)
    allowed = policy.allowed_errors(run.planned)
    reason = f"{run.scored} of {run.planned} scored"
    if missing:
        reason += f", {run.errors} errors, {allowed} allowed"
    is_enough = run.scored > 0 and missing <= allowed
    return Check(
        name="complete", verdict=Verdict.PASS if is_enough else Verdict.INCOMPLETE, reason=reason
    )


def check_floors(run: RunScores, policy: BenchmarkPolicy) -> Iterator[Check]:
    """Yields a check a floor: on the value itself, without allowance for noise."""
    for name, floor in policy.floors.items():
        value = run.metric_value(name)
        if value is None:
            yield Check(
                name=name,
                verdict=Verdict.INCOMPLETE,
                reason=f"the run has no {name}; its metric is {run.metric}",
            )
            continue
        is_met = value >= floor - _ROUNDING
        yield Check(
            name=name,
            verdict=Verdict.PASS if is_met else Verdict.REGRESSED,
            reason=f"{name} {value:.1%} {'meets' if is_met else 'is below'} the floor {floor:.1%}",
        )


def check_ceilings(run: RunScores, policy: BenchmarkPolicy) -> Iterator[Check]:
    """Yields a check a ceiling on a metric of which less is better."""
    for name, ceiling in policy.ceilings.items():
        value, unit = run.metric_value(name), unit_of(name)
        if value is None:
            reason = f"the run has no {name}; its metric is {run.metric}"
            yield Check(name=name, verdict=Verdict.INCOMPLETE, reason=reason)
            continue
        is_met = value <= ceiling + _ROUNDING
        yield Check(
            name=name,
            verdict=Verdict.PASS if is_met else Verdict.REGRESSED,
            reason=(
                f"{name} {value_text(value, unit)} {'meets' if is_met else 'is above'} "
                f"the ceiling {ceiling:g}"
            ),
        )


def check_must_pass(run: RunScores, policy: BenchmarkPolicy) -> Iterator[Check]:
    """Yields one check of the samples that must pass, if there are any."""
    if not policy.must_pass:
        return
    missing = [i for i in policy.must_pass if i not in run.samples]
    failed = [i for i in policy.must_pass if i in run.samples and not run.samples[i].is_passed]
    if failed:
        verdict, reason = Verdict.REGRESSED, f"must pass but failed: {' '.join(failed)}"
    elif missing:
        verdict, reason = Verdict.INCOMPLETE, f"must pass but not scored: {' '.join(missing)}"
    else:
        verdict, reason = Verdict.PASS, f"all {len(policy.must_pass)} that must pass did"
    yield Check(name="must_pass", verdict=verdict, reason=reason)


def check_limits(run: RunScores, policy: BenchmarkPolicy) -> Iterator[Check]:
    """Yields a check a limit on truncated, empty or unextracted answers."""
    for kind, limit in policy.limits.items():
        share = run.share(kind)
        is_met = share <= limit + _ROUNDING
        yield Check(
            name=kind,
            verdict=Verdict.PASS if is_met else Verdict.REGRESSED,
            reason=f"{share:.1%} of the answers are {kind}, {limit:.1%} allowed",
        )


def check_drop(
    comparison: PairedComparison, p_adjusted: float, alpha: float, policy: BenchmarkPolicy
) -> Check:
    """Returns what the comparison says about a drop.

    Regressed takes both: a drop above the tolerance, and p at most ``policy.alpha`` after
    Holm's correction. Inconclusive is a drop above the tolerance that noise could have made,
    and a run that could not have given p <= ``alpha``, its share of the policy's alpha,
    whatever had happened to its samples.
    """
    tolerance, unit = policy.max_drop or 0.0, comparison.unit
    lost, allowed = _lost(comparison), _amount(tolerance, unit)
    seen = comparison.smallest_visible_drop
    if comparison.drop > tolerance + _ROUNDING:
        verdict = Verdict.REGRESSED if p_adjusted <= policy.alpha else Verdict.INCONCLUSIVE
        noise = "beyond noise" if verdict is Verdict.REGRESSED else "but noise could do that"
        p = "p" if p_adjusted == comparison.p_one_sided else "p after Holm"
        reason = (
            f"{lost}, more than {allowed} allowed, {noise} "
            f"({p} {p_adjusted:.2g}, alpha {policy.alpha:g})"
        )
    elif comparison.p_smallest > alpha and _could_exceed(comparison, tolerance):
        verdict = Verdict.INCONCLUSIVE
        passed = " that passed then" if comparison.is_binary else ""
        reason = (
            f"too few samples: had all {comparison.num_breakable}{passed} broken, "
            f"p would be {comparison.p_smallest:.2g}"
        )
    elif policy.max_visible_drop is not None and (seen is None or seen > policy.max_visible_drop):
        verdict = Verdict.INCONCLUSIVE
        below = "" if seen is None else f"{change_text(seen, unit, '')} {change_unit(unit)}"
        shown = f"no drop below {below}" if below else "no drop at all"
        reason = f"could see {shown}, {_amount(policy.max_visible_drop, unit)} asked for"
    else:
        verdict, reason = Verdict.PASS, f"{lost}, {allowed} allowed"
    return Check(name="drop", verdict=verdict, reason=reason)


def _could_exceed(comparison: PairedComparison, tolerance: float) -> bool:
    # A score cannot fall by more than what it was.
    then = comparison.then.value or 0.0
    return not comparison.is_binary or then > tolerance + _ROUNDING


def check_timings(
    run: RunScores, baseline: RunScores | None, policy: BenchmarkPolicy
) -> Iterator[tuple[Check, TimingComparison | None]]:
    """Yields a check a timing limit, with the comparison where there is one.

    As for scores: regressed takes a ratio beyond the limit, and an interval that excludes 1.
    """
    for limit in policy.timings:
        obstacle = _timing_obstacle(run, baseline)
        found = compare_timing(baseline, run, limit.name) if baseline and not obstacle else None
        if found is None:
            reason = obstacle or "fewer than two samples have this timing in both runs"
            yield _timing_check(limit, Verdict.NOT_COMPARABLE, reason), None
        else:
            yield _judged_timing(limit, found), found


def _timing_obstacle(run: RunScores, baseline: RunScores | None) -> str:
    if baseline is None:
        return "no baseline"
    found = timing_differences(baseline.identity, run.identity)
    return "; ".join(map(str, found))


def _judged_timing(limit: TimingLimit, found: TimingComparison) -> Check:
    if limit.is_lower_bound:
        is_met, is_real = found.ratio >= limit.ratio - _ROUNDING, found.interval.high < 1
    else:
        is_met, is_real = found.ratio <= limit.ratio + _ROUNDING, found.interval.low > 1
    verdict = Verdict.REGRESSED if is_real else Verdict.INCONCLUSIVE
    reason = (
        f"{found.then:.3g} -> {found.now:.3g}, ratio {found.ratio:.2f} "
        f"({found.interval.low:.2f} to {found.interval.high:.2f}), "
        f"{'at least' if limit.is_lower_bound else 'at most'} {limit.ratio:g} asked for"
    )
    return _timing_check(limit, Verdict.PASS if is_met else verdict, reason)


def _timing_check(limit: TimingLimit, verdict: Verdict, reason: str) -> Check:
    return Check(name=limit.name, verdict=verdict, reason=reason)


def _lost(found: PairedComparison) -> str:
    if abs(found.drop) < _ROUNDING:
        return "no change"
    amount = f"{change_text(abs(found.drop), found.unit, '')} {change_unit(found.unit)}"
    return f"{'lost' if found.drop > 0 else 'gained'} {amount}"


def _amount(limit: float, unit: Unit) -> str:
    # As the policy writes it, in points; what is no share has no percent.
    return f"{100 * limit if unit == 'share' else limit:g}"
