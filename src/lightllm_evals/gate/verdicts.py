"""Judge runs by a policy: one verdict a benchmark, and one for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from lightllm_evals.gate.checks import (
    Check,
    Verdict,
    check_ceilings,
    check_complete,
    check_drop,
    check_floors,
    check_limits,
    check_must_pass,
    check_timings,
)
from lightllm_evals.gate.comparison import FEW_CLUSTERS, PairedComparison, compare, obstacles
from lightllm_evals.gate.policy import BenchmarkPolicy, Policy
from lightllm_evals.gate.scores import RunScores
from lightllm_evals.gate.timing import TimingComparison
from lightllm_evals.stats import Estimate, holm


class GateStatus(IntEnum):
    """Exit statuses; pytest's own are 0 to 5, so the gate's others are above.

    A careless ``pytest && deploy`` deploys after a pass only.
    """

    PASS = 0
    REGRESSED = 1
    NOT_JUDGED = 10
    INCONCLUSIVE = 11


_STATUS = {
    Verdict.PASS: GateStatus.PASS,
    Verdict.REGRESSED: GateStatus.REGRESSED,
    Verdict.INCOMPLETE: GateStatus.NOT_JUDGED,
    Verdict.NOT_COMPARABLE: GateStatus.NOT_JUDGED,
    Verdict.INCONCLUSIVE: GateStatus.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkVerdict:
    """The gate's word on one benchmark.

    Attributes:
        benchmark: Its name.
        verdict: The worst of the checks'.
        is_accepted: The verdict lets the gate pass: it is a pass, or the policy says that
            inconclusive passes.
        checks: Everything that was asked, in order.
        metric: Name of the headline metric, "" where no sample was run.
        score: The headline metric of the run's samples, with its 95 % interval.
        comparison: The paired comparison with the baseline, None where there is none.
        p_adjusted: One-sided p after Holm's correction over the benchmarks compared.
        timings: The timings that the policy asked for and that could be compared.
        notes: What a reader should know beside the verdict.
        baseline: Where the baseline came from, "" without one.
    """

    benchmark: str
    verdict: Verdict
    is_accepted: bool
    checks: tuple[Check, ...]
    metric: str
    score: Estimate
    comparison: PairedComparison | None = None
    p_adjusted: float | None = None
    timings: tuple[TimingComparison, ...] = ()
    notes: tuple[str, ...] = ()
    baseline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The gate's word on a run.

    Attributes:
        benchmarks: One verdict a benchmark, in the run's order.
        verdict: The worst of them; a pass only if all pass.
        exit_status: What the process should end with.
    """

    benchmarks: tuple[BenchmarkVerdict, ...]
    verdict: Verdict
    exit_status: GateStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One benchmark's part of the question."""

    run: RunScores
    baseline: RunScores | None
    policy: BenchmarkPolicy

    def hurdles(self) -> tuple[str, ...]:
        """Returns what forbids the comparison; () also when there is none to make."""
        if self.baseline is None:
            return ("no baseline",) if self.policy.needs_baseline else ()
        return obstacles(
            self.baseline,
            self.run,
            max_missing=self.policy.allowed_errors(self.run.planned),
            is_common_enough=self.policy.is_common_enough,
        )

    def is_compared(self) -> bool:
        is_complete = check_complete(self.run, self.policy).verdict is Verdict.PASS
        return self.baseline is not None and is_complete and not self.hurdles()

    def comparison(self, share: int) -> PairedComparison | None:
        """Returns the comparison, when it can be made; ``share`` benchmarks divide alpha."""
        if self.baseline is None or not self.is_compared():
            return None
        return compare(
            self.baseline,
            self.run,
            # Holm may ask this much of the smallest p: the stated drop then holds in any case.
            alpha=self.policy.alpha / share,
            power=self.policy.power,
            tolerance=self.policy.max_drop or 0.0,
        )


def judge(
    runs: Mapping[str, RunScores],
    baselines: Mapping[str, RunScores] | None = None,
    policy: Policy | None = None,
    *,
    is_all_asked: bool = False,
) -> GateResult:
    """Returns the verdict on ``runs``, by benchmark, against the ``baselines`` of the same names.

    A benchmark without a baseline is only held to what needs none, unless its policy names a
    drop or a timing. Holm's correction goes over the benchmarks whose drop is judged. With
    ``is_all_asked`` a section of the policy that holds for none of the runs is incomplete.
    """
    baselines, policy = baselines or {}, policy or Policy()
    cases = {
        name: _Case(run=run, baseline=baselines.get(name), policy=policy.for_benchmark(name))
        for name, run in runs.items()
    }
    share = sum(case.is_compared() and case.policy.max_drop is not None for case in cases.values())
    comparisons = {name: case.comparison(max(1, share)) for name, case in cases.items()}
    adjusted = _adjusted(cases, comparisons)
    benchmarks = tuple(
        _judge_benchmark(name, case, comparisons[name], adjusted.get(name), max(1, share))
        for name, case in cases.items()
    )
    if is_all_asked:
        benchmarks += tuple(_not_run(name) for name in policy.without_match(runs))
    refused = [b.verdict for b in benchmarks if not b.is_accepted]
    worst = max(refused, key=lambda v: v.severity, default=Verdict.PASS)
    return GateResult(benchmarks=benchmarks, verdict=worst, exit_status=_STATUS[worst])


def _not_run(name: str) -> BenchmarkVerdict:
    reason = "the policy names it, and no sample of it was run"
    return BenchmarkVerdict(
        benchmark=name,
        verdict=Verdict.INCOMPLETE,
        is_accepted=False,
        checks=(Check(name="complete", verdict=Verdict.INCOMPLETE, reason=reason),),
        metric="",
        score=Estimate(value=None, interval=None, n=0, definition="no samples scored"),
    )


def _adjusted(
    cases: Mapping[str, _Case], comparisons: Mapping[str, PairedComparison | None]
) -> dict[str, float]:
    p_values = {
        name: comparison.p_one_sided
        for name, comparison in comparisons.items()
        if comparison is not None and cases[name].policy.max_drop is not None
    }
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _judge_benchmark(
    name: str,
    case: _Case,
    comparison: PairedComparison | None,
    p_adjusted: float | None,
    share: int,
) -> BenchmarkVerdict:
    checks, timings = _checks(case, comparison, p_adjusted, share)
    verdict = max((check.verdict for check in checks), key=lambda v: v.severity)
    is_let_through = verdict is Verdict.INCONCLUSIVE and case.policy.is_inconclusive_pass
    return BenchmarkVerdict(
        benchmark=name,
        verdict=verdict,
        is_accepted=verdict is Verdict.PASS or is_let_through,
        checks=tuple(checks),
        metric=case.run.metric,
        score=case.run.headline(),
        comparison=comparison,
        p_adjusted=p_adjusted,
        timings=tuple(timings),
        notes=_notes(comparison),
        baseline=case.baseline.source if case.baseline else "",
    )


def _checks(
    case: _Case, comparison: PairedComparison | None, p_adjusted: float | None, share: int
) -> tuple[list[Check], list[TimingComparison]]:
    run, policy = case.run, case.policy
    checks = [check_complete(run, policy)]
    if checks[0].verdict is not Verdict.PASS:
        return checks, []
    if hurdles := case.hurdles():
        reason = "; ".join(hurdles)
        checks.append(Check(name="baseline", verdict=Verdict.NOT_COMPARABLE, reason=reason))
    if comparison and p_adjusted is not None:
        checks.append(check_drop(comparison, p_adjusted, policy.alpha / share, policy))
    checks += [
        *check_floors(run, policy),
        *check_ceilings(run, policy),
        *check_must_pass(run, policy),
        *check_limits(run, policy),
    ]
    timed = list(check_timings(run, case.baseline, policy))
    return checks + [check for check, _ in timed], [found for _, found in timed if found]


def _notes(comparison: PairedComparison | None) -> tuple[str, ...]:
    if comparison is None:
        return ()
    notes = []
    if comparison.num_clusters < min(FEW_CLUSTERS, comparison.num_samples):
        notes.append(
            f"only {comparison.num_clusters} groups: their robust errors may be too small"
        )
    if comparison.smallest_visible_drop is None and comparison.unit == "share":
        notes.append("too few samples passed then for any drop to be seen reliably")
    elif comparison.smallest_visible_drop is None:
        notes.append("the differences did not vary: nothing tells how small a drop would be seen")
    return tuple(notes)
