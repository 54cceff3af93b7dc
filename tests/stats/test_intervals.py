from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t
from statsmodels.stats.proportion import proportion_confint

from lightllm_evals.stats import (
    Interval,
    clustered_mean_interval,
    clustered_standard_error,
    mean_interval,
    percentile,
    percentiles,
    ratio_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "total"), [(0, 1), (1, 1), (21, 164), (0, 164), (700, 1319)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_statsmodels(successes: int, total: int, confidence: float) -> None:
    low, high = proportion_confint(successes, total, alpha=1 - confidence, method="wilson")
    found = wilson_interval(successes, total, confidence)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_wilson_by_hand() -> None:
    # z = 1.959964, 8 of 10: centre (0.8 + z^2/20) / (1 + z^2/10), as in Wilson's formula.
    z2 = 1.959963985**2
    centre = (0.8 + z2 / 20) / (1 + z2 / 10)
    half = (z2 * (0.8 * 0.2 / 10 + z2 / 400)) ** 0.5 / (1 + z2 / 10)
    found = wilson_interval(8, 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))


def test_nothing_is_known_without_data() -> None:
    assert wilson_interval(0, 0) == Interval(0.0, 1.0)
    assert mean_interval([]) == Interval(0.0, 1.0)
    assert mean_interval([0.5]) == Interval(0.0, 1.0)
    assert clustered_mean_interval([1.0, 0.0], ["a", "a"]) == Interval(0.0, 1.0)
    assert percentile([], 50) is None
    assert percentiles([]) is None


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="3 successes cannot come of 2 trials"):
        wilson_interval(3, 2)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
@settings(deadline=None)
def test_the_interval_of_a_mean_holds_the_mean_and_stays_in_the_unit(values: list[float]) -> None:
    interval = mean_interval(values)
    assert 0 <= interval.low <= interval.high <= 1
    assert interval.low - 1e-9 <= sum(values) / len(values) <= interval.high + 1e-9


def test_scores_that_all_agree_leave_doubt() -> None:
    assert mean_interval([1.0] * 10) == wilson_interval(10, 10)
    assert mean_interval([0.5] * 10) == wilson_interval(5, 10)
    assert mean_interval([0.55] * 10).low == wilson_interval(5, 10).low
    assert mean_interval([0.55] * 10).high == wilson_interval(6, 10).high


def test_clustered_errors_agree_with_statsmodels() -> None:
    rng = np.random.default_rng(5)
    clusters = rng.integers(0, 12, size=300)
    values = np.clip(0.1 * clusters / 2 + rng.normal(0.2, 0.2, size=300), 0, 1)
    fit = sm.OLS(values, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    names = [str(cluster) for cluster in clusters]
    assert clustered_standard_error(values.tolist(), names) == pytest.approx(fit.bse[0])
    low, high = fit.conf_int()[0]
    found = clustered_mean_interval(values.tolist(), names)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_clusters_of_one_sample_give_the_ordinary_error() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 0.25]
    expected = float(np.std(values, ddof=1)) / 5**0.5
    assert clustered_standard_error(values, list("abcde")) == pytest.approx(expected)
    clustered, plain = clustered_mean_interval(values, list("abcde")), mean_interval(values)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))


def test_copies_of_a_sample_add_nothing() -> None:
    values, names = [0.0, 1.0, 1.0, 0.0, 1.0], list("abcde")
    once = clustered_standard_error(values, names)
    assert clustered_standard_error(values * 4, names * 4) == pytest.approx(once)


def test_percentiles_interpolate_linearly() -> None:
    found = percentiles([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found is not None
    assert (found.p50, found.p95, found.p99) == pytest.approx((3.0, 4.8, 4.96))
    assert "linear" in found.definition


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert percentile([2.5], 95) == 2.5


def test_the_interval_of_a_ratio_by_hand() -> None:
    # R = 6/8; residuals -1/2, -1/4, 3/4; variance 3/2 * 0.875 / 8^2; t of 2 degrees 4.302653.
    half = 4.302653 * (1.5 * 0.875 / 64) ** 0.5
    found = ratio_interval([1, 2, 3], [2, 3, 3])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.75 - half, 1.0), abs=1e-6)
    # The same, ten times as much of something that is no share.
    found = ratio_interval([10, 20, 30], [2, 3, 3])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((7.5 - 10 * half, 7.5 + 10 * half), abs=1e-5)


# In hundredths: the least of floats times a weight is 0, which is no negative rate any more.
RATES = st.integers(-500, 500).map(lambda hundredths: hundredths / 100)
WEIGHTED = st.lists(st.tuples(RATES, st.floats(0.5, 9), st.sampled_from("abc")), min_size=6)


@given(WEIGHTED)
@settings(deadline=None)
def test_the_interval_of_a_ratio_agrees_with_statsmodels(
    samples: list[tuple[float, float, str]],
) -> None:
    rates, weights, groups = (np.array(column) for column in zip(*samples, strict=True))
    # A weighted constant is the ratio of sums; HC1 is n / (n - 1) where one is fitted.
    model = sm.WLS(rates, np.ones(len(rates)), weights=weights)
    robust = model.fit(cov_type="HC1", use_t=True)
    found = ratio_interval(list(rates * weights), list(weights))
    if found is not None and robust.bse[0] > 1e-9 and min(rates) < 0:
        assert (found.low, found.high) == pytest.approx(tuple(robust.conf_int()[0]), abs=1e-7)
    num = len(set(groups))
    codes = np.unique(groups, return_inverse=True)[1]
    found = ratio_interval(list(rates * weights), list(weights), list(groups))
    if num < 2:
        assert found is None or (min(rates) >= 0 and max(rates) <= 1)
        return
    options = {"groups": codes, "use_correction": False, "df_correction": True}
    robust = model.fit(cov_type="cluster", cov_kwds=options, use_t=True)
    error = robust.bse[0] * (num / (num - 1)) ** 0.5
    if found is not None and error > 1e-9 and min(rates) < 0:
        half = (found.high - found.low) / 2
        assert half == pytest.approx(error * student_t.ppf(0.975, num - 1), rel=1e-6)


def test_the_interval_of_a_ratio_claims_no_certainty() -> None:
    assert ratio_interval([], []) is None
    assert ratio_interval([1.0, 2.0], [0.0, 0.0]) is None
    assert ratio_interval([7.0], [2.0]) is None
    assert ratio_interval([7.0, 7.0], [2.0, 2.0]) is None
    assert ratio_interval([1.0], [2.0]) == Interval(0.0, 1.0)
    assert ratio_interval([3, 3], [3, 3]) == wilson_interval(2, 2)
