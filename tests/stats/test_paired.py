from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from lightllm_evals.stats import (
    Interval,
    bootstrap_difference_interval,
    holm,
    mcnemar,
    paired_difference_interval,
    paired_t,
    percentile_ratio_interval,
    rate_ratio_interval,
)


@pytest.mark.parametrize(
    ("broken", "fixed"), [(6, 0), (3, 3), (0, 5), (30, 16), (1, 0), (200, 150)]
)
def test_mcnemar_agrees_with_statsmodels(broken: int, fixed: int) -> None:
    table = [[100, broken], [fixed, 100]]
    expected = mcnemar_of_statsmodels(table, exact=True).pvalue
    assert mcnemar(broken, fixed).p_two_sided == pytest.approx(expected)


def test_six_broken_and_none_fixed_by_hand() -> None:
    # Six flips that all went the same way: (1/2)^6, and twice that for either way.
    found = mcnemar(6, 0)
    assert found.p_one_sided == pytest.approx(1 / 64)
    assert found.p_two_sided == pytest.approx(1 / 32)


def test_no_flip_is_no_evidence() -> None:
    assert (mcnemar(0, 0).p_one_sided, mcnemar(0, 0).p_two_sided) == (1.0, 1.0)
    assert mcnemar(0, 6).p_one_sided == 1.0


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 3)


def test_the_interval_of_a_difference_by_hand() -> None:
    # Agresti and Min (2005): half a sample on each cell makes 6.5 and 0.5 of 166.
    low_cells, total = (6.5, 0.5), 166
    difference = (low_cells[1] - low_cells[0]) / total
    error = ((sum(low_cells) - (low_cells[0] - low_cells[1]) ** 2 / total) ** 0.5) / total
    found = paired_difference_interval(6, 0, 164)
    assert found.low == pytest.approx(difference - 1.959964 * error, abs=1e-7)
    assert found.high == pytest.approx(difference + 1.959964 * error, abs=1e-7)


@pytest.mark.parametrize(("n", "broken_rate", "fixed_rate"), [(40, 0.1, 0.1), (164, 0.03, 0.01)])
def test_the_interval_of_a_difference_covers_the_truth(
    n: int, broken_rate: float, fixed_rate: float
) -> None:
    rng = np.random.default_rng(11)
    kept = 1 - broken_rate - fixed_rate
    draws = rng.multinomial(n, [broken_rate, fixed_rate, kept], size=2_000)
    intervals = [paired_difference_interval(int(b), int(c), n) for b, c, _ in draws]
    covered = sum(fixed_rate - broken_rate in interval for interval in intervals)
    # 0.95 less three standard errors of 2,000 draws.
    assert covered / 2_000 >= 0.95 - 3 * (0.95 * 0.05 / 2_000) ** 0.5


def test_nothing_is_known_of_a_difference_without_samples() -> None:
    assert paired_difference_interval(0, 0, 0) == Interval(-1.0, 1.0)
    assert bootstrap_difference_interval([0.5]) == Interval(-1.0, 1.0)
    assert paired_t([]).p_one_sided == 1.0
    assert paired_t([0.5]).p_two_sided == 1.0
    assert percentile_ratio_interval([1.0], [2.0], 50) is None


def test_paired_t_agrees_with_scipys_test_of_two_series() -> None:
    rng = np.random.default_rng(3)
    then, now = rng.random(50), rng.random(50) - 0.1
    found = paired_t((now - then).tolist())
    assert found.p_two_sided == pytest.approx(ttest_rel(now, then).pvalue)
    assert found.p_one_sided == pytest.approx(ttest_rel(now, then, alternative="less").pvalue)


def test_clustered_t_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(4)
    clusters = rng.integers(0, 25, size=400)
    differences = rng.normal(-0.02, 0.2, size=400) + rng.normal(0, 0.1, size=25)[clusters]
    fit = sm.OLS(differences, np.ones(400)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    found = paired_t(differences.tolist(), [str(c) for c in clusters])
    assert found.p_two_sided == pytest.approx(fit.pvalues[0])
    assert found.degrees_of_freedom == 24
    one_sided = fit.pvalues[0] / 2 if differences.mean() < 0 else 1 - fit.pvalues[0] / 2
    assert found.p_one_sided == pytest.approx(one_sided)


def test_repeated_differences_are_one_observation_a_cluster() -> None:
    differences, names = [-0.5, 0.25, -0.25, 0.5, -0.5], list("abcde")
    once = paired_t(differences)
    assert paired_t(differences * 8, names * 8).p_two_sided == pytest.approx(once.p_two_sided)


def test_differences_that_do_not_vary_get_the_sign_test() -> None:
    assert paired_t([-0.5] * 4).p_one_sided == 0.5**4
    assert paired_t([-0.5] * 4).p_two_sided == 0.5**3
    assert paired_t([0.5] * 4).p_one_sided == 1.0
    assert paired_t([0.0] * 4).p_two_sided == 1.0


@pytest.mark.parametrize(
    "p_values",
    [
        [0.04],
        [0.01, 0.04, 0.03, 0.005],
        [0.5, 0.6, 0.001],
        [0.02, 0.02, 0.02],
        [1.0, 0.0, 0.3, 0.011, 0.012, 0.9, 0.013],
    ],
)
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(tuple(expected))


@given(st.lists(st.floats(0, 1), max_size=12))
@settings(deadline=None)
def test_holm_lies_between_the_p_value_and_bonferronis(p_values: list[float]) -> None:
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, p * len(p_values))


def test_holm_by_hand() -> None:
    # 0.01 x 3, then 0.02 x 2, then 0.03 x 1 which may not fall below the one before.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx((0.04, 0.03, 0.04))


def test_the_bootstrap_repeats_itself_by_its_seed() -> None:
    differences = np.random.default_rng(1).normal(-0.1, 0.3, size=80).tolist()
    once = bootstrap_difference_interval(differences, seed=7)
    assert bootstrap_difference_interval(differences, seed=7) == once
    assert bootstrap_difference_interval(differences, seed=8) != once


def test_the_bootstrap_agrees_with_t_where_t_holds() -> None:
    differences = np.random.default_rng(2).normal(-0.1, 0.3, size=400)
    found = bootstrap_difference_interval(differences.tolist())
    half = 1.966 * float(differences.std(ddof=1)) / 20
    assert found.low == pytest.approx(float(differences.mean()) - half, abs=0.005)
    assert found.high == pytest.approx(float(differences.mean()) + half, abs=0.005)


def test_the_bootstrap_draws_clusters_as_a_whole() -> None:
    differences, names = [-0.5, 0.25, -0.25, 0.5, -0.5] * 8, list("abcde") * 8
    clustered = bootstrap_difference_interval(differences, names)
    once = bootstrap_difference_interval(differences[:5])
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high))


def test_a_server_that_is_half_as_fast_has_a_ratio_of_two() -> None:
    then = np.random.default_rng(6).gamma(4, 0.25, size=100)
    slower = percentile_ratio_interval(then.tolist(), (2 * then).tolist(), 95)
    assert slower is not None
    assert (slower.low, slower.high) == pytest.approx((2.0, 2.0))
    rate = rate_ratio_interval(([10.0] * 100, then.tolist()), ([10.0] * 100, (2 * then).tolist()))
    assert rate is not None
    assert (rate.low, rate.high) == pytest.approx((0.5, 0.5))


def test_equal_speed_with_noise_keeps_one_within_the_ratios_interval() -> None:
    rng = np.random.default_rng(9)
    then, now = rng.gamma(4, 0.25, size=(2, 300))
    interval = percentile_ratio_interval(then.tolist(), now.tolist(), 50)
    assert interval is not None
    assert 1.0 in interval
