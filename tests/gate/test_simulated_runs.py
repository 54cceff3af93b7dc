"""The gate's promise, by simulation: no false alarms beyond alpha, real drops seen as stated.

The model of a benchmark: of its samples a share ``2 * flip_rate`` is unstable and passes by the
toss of a coin, so that two runs differ in ``flip_rate``; the others always pass or always fail,
such that the pass rate is ``base_rate``. A real drop breaks samples that always passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from lightllm_evals.gate import PairedComparison, RunScores, Verdict, judge, parse_policy
from lightllm_evals.gate.checks import check_drop
from lightllm_evals.gate.policy import Policy
from lightllm_evals.stats import Estimate, mcnemar, paired_t, smallest_visible_drop

NUM_RUNS = 2_000
ALPHA = 0.05

CASES = [
    pytest.param(n, base_rate, flip_rate, id=f"{n}-{base_rate}-{flip_rate}")
    for n, base_rate, flip_rate in [
        (60, 0.5, 0.0),
        (60, 0.5, 0.1),
        (164, 0.3, 0.0),
        (164, 0.3, 0.035),
        (164, 0.85, 0.1),
        (500, 0.5, 0.01),
        (500, 0.2, 0.1),
        (1_319, 0.2, 0.035),
        (1_319, 0.85, 0.1),
    ]
]


def simulate(
    n: int, base_rate: float, flip_rate: float, drop: float, *, num_runs: int = NUM_RUNS
) -> Counter[tuple[int, int]]:
    """Returns how often each (broken, fixed) came out in ``num_runs`` pairs of runs."""
    rng = np.random.default_rng([n, int(1_000 * base_rate), int(1_000 * flip_rate), int(drop > 0)])
    kind, coin_then, coin_now = rng.random((3, num_runs, n))
    is_unstable = kind < 2 * flip_rate
    # What is left of the pass rate after the unstable samples' half.
    always = 2 * flip_rate + base_rate - flip_rate
    is_steady = ~is_unstable & (kind < always)
    is_dropped = ~is_unstable & (kind < 2 * flip_rate + drop)
    assert 2 * flip_rate + drop <= always, "the drop has to find enough samples that always pass"
    then = is_steady | (is_unstable & (coin_then < 0.5))
    now = (is_steady & ~is_dropped) | (is_unstable & (coin_now < 0.5))
    broken, fixed = (then & ~now).sum(axis=1), (now & ~then).sum(axis=1)
    return Counter(zip(broken.tolist(), fixed.tolist(), strict=True))


def verdict_of_counts(broken: int, fixed: int, n: int, policy: Policy) -> Verdict:
    """Returns the gate's decision on a run of one benchmark, without building the run."""
    test = mcnemar(broken, fixed)
    none = Estimate(value=None, interval=None, n=n, definition="")
    comparison = PairedComparison(
        then=none,
        now=none,
        difference=Estimate(value=(fixed - broken) / n, interval=None, n=n, definition=""),
        num_samples=n,
        num_clusters=n,
        num_breakable=n,
        is_binary=True,
        broken=(),
        fixed=(),
        test="exact McNemar test",
        p_one_sided=test.p_one_sided,
        p_two_sided=test.p_two_sided,
        p_smallest=0.5**n,
        flip_rate=(broken + fixed) / n,
        smallest_visible_drop=None,
    )
    of_benchmark = policy.for_benchmark("humaneval")
    return check_drop(comparison, test.p_one_sided, of_benchmark.alpha, of_benchmark).verdict


def count_regressed(outcomes: Counter[tuple[int, int]], n: int, policy: Policy) -> int:
    return sum(
        times
        for (broken, fixed), times in outcomes.items()
        if verdict_of_counts(broken, fixed, n, policy) is Verdict.REGRESSED
    )


@pytest.mark.parametrize(("n", "base_rate", "flip_rate"), CASES)
def test_without_a_change_at_most_alpha_of_the_runs_regress(
    n: int, base_rate: float, flip_rate: float
) -> None:
    outcomes = simulate(n, base_rate, flip_rate, 0.0)
    # No tolerance at all is the hardest: every significant drop counts.
    regressed = count_regressed(outcomes, n, parse_policy(f"drop<=0, alpha={ALPHA}"))
    assert regressed <= ALPHA * NUM_RUNS
    assert count_regressed(outcomes, n, parse_policy(f"drop<=2, alpha={ALPHA}")) <= regressed


@pytest.mark.parametrize("points", [0, 2])
@pytest.mark.parametrize(("n", "base_rate", "flip_rate"), CASES)
def test_a_drop_of_the_stated_size_regresses_in_80_of_100_runs(
    n: int, base_rate: float, flip_rate: float, points: int
) -> None:
    drop = smallest_visible_drop(
        n, flip_rate, alpha=ALPHA, tolerance=points / 100, pass_rate=base_rate
    )
    assert drop is not None
    outcomes = simulate(n, base_rate, flip_rate, drop)
    seen = count_regressed(outcomes, n, parse_policy(f"drop<={points}, alpha={ALPHA}"))
    # Binomial error: all 18 simulations of a true 80 % pass this with a probability of 98 %.
    assert binomtest(seen, NUM_RUNS, 0.8).pvalue > 0.001


def test_the_whole_gate_decides_as_its_rule_does(make_run: Callable[..., RunScores]) -> None:
    policy = parse_policy("drop<=2")
    verdicts = set()
    for broken, fixed in simulate(60, 0.5, 0.1, 0.1, num_runs=200):
        then = [1] * 30 + [0] * 30
        now = [0] * broken + [1] * (30 - broken) + [1] * fixed + [0] * (30 - fixed)
        result = judge({"humaneval": make_run(now)}, {"humaneval": make_run(then)}, policy)
        assert result.verdict is verdict_of_counts(broken, fixed, 60, policy)
        verdicts.add(result.verdict)
    assert verdicts == {Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESSED}


@pytest.mark.parametrize("flip_rate", [0.035, 0.1])
def test_what_a_run_states_from_its_own_flips_holds_on_average(flip_rate: float) -> None:
    n, policy = 1_319, parse_policy("drop<=0")
    # A run without a change states a drop; the next run then has a true drop of that size.
    seen = 0
    for repetition, (broken, fixed) in enumerate(simulate(n, 0.5, flip_rate, 0.0, num_runs=150)):
        drop = smallest_visible_drop(n, (broken + fixed) / n) or 1.0
        rng = np.random.default_rng(repetition)
        kind = rng.random(n)
        broken_now = int(np.sum(kind < flip_rate / 2 + drop))
        fixed_now = int(np.sum(kind > 1 - flip_rate / 2))
        verdict = verdict_of_counts(broken_now, fixed_now, n, policy)
        seen += verdict is Verdict.REGRESSED
    assert seen / (repetition + 1) > 0.7


@pytest.mark.parametrize(("repeats", "spread"), [(4, 1.0), (8, 0.3)])
def test_fractional_scores_regress_in_alpha_of_the_runs_without_a_change(
    repeats: int, spread: float
) -> None:
    rng = np.random.default_rng(12)
    rates = rng.beta(spread, spread, size=(NUM_RUNS, 100, 1))
    then, now = ((rng.random((NUM_RUNS, 100, repeats)) < rates).mean(axis=2) for _ in range(2))
    # A run without any difference keeps p = 1, as ``paired_t`` has it; row by row it is slower.
    p_values = np.nan_to_num(
        ttest_1samp(now - then, 0.0, axis=1, alternative="less").pvalue, nan=1
    )
    for row, p in list(zip(now - then, p_values, strict=True))[:20]:
        assert paired_t(row.tolist()).p_one_sided == pytest.approx(p)
    regressed = int(np.sum(p_values <= ALPHA))
    # t is not exact: its level may be off by what 2,000 runs cannot tell from 5 %.
    assert binomtest(regressed, NUM_RUNS, ALPHA, alternative="greater").pvalue > 0.01
