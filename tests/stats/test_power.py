"""The smallest visible drop, by simulation and by brute force: acceptance of the gate's rule."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from lightllm_evals.stats import (
    drop_power,
    mcnemar,
    samples_needed,
    smallest_visible_drop,
    smallest_visible_drop_by_t,
    tolerance_of_noise,
)


def brute_force_power(
    n: int, broken_rate: float, fixed_rate: float, alpha: float, tolerance: float
) -> float:
    """Returns the weight of all outcomes (broken, fixed) of n samples that show a drop."""
    kept = 1 - broken_rate - fixed_rate
    total = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c > n or b - c <= tolerance * n + 1e-9 or mcnemar(b, c).p_one_sided > alpha:
            continue
        ways = comb(n, b) * comb(n - b, c)
        total += ways * broken_rate**b * fixed_rate**c * kept ** (n - b - c)
    return total


@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(("n", "broken_rate", "fixed_rate"), [(12, 0.4, 0.1), (25, 0.2, 0.05)])
def test_power_equals_brute_force(
    n: int, broken_rate: float, fixed_rate: float, alpha: float, tolerance: float
) -> None:
    expected = brute_force_power(n, broken_rate, fixed_rate, alpha, tolerance)
    assert drop_power(n, broken_rate, fixed_rate, alpha, tolerance) == pytest.approx(
        expected, abs=1e-7
    )


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
def test_power_counts_exactly_the_outcomes_that_mcnemar_rejects(alpha: float) -> None:
    # With every sample flipped, power is the weight of the rejected outcomes of Binomial(n, q).
    for n in (5, 6, 7, 40, 101, 300):
        rejected = [b for b in range(n + 1) if mcnemar(b, n - b).p_one_sided <= alpha]
        weight = sum(comb(n, b) * 0.7**b * 0.3 ** (n - b) for b in rejected)
        assert drop_power(n, 0.7, 0.3, alpha) == pytest.approx(weight, abs=1e-9)


@pytest.mark.parametrize("n", [32, 164, 500, 1_319])
@pytest.mark.parametrize("flip_rate", [0.0, 0.035, 0.1])
@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_the_stated_drop_has_the_stated_power(n: int, flip_rate: float, tolerance: float) -> None:
    drop = smallest_visible_drop(n, flip_rate, tolerance=tolerance)
    assert drop is not None
    power = drop_power(n, flip_rate / 2 + drop, flip_rate / 2, 0.05, tolerance)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_without_noise_the_smallest_visible_drop_follows_by_hand() -> None:
    # Five broken and none fixed are the first with p <= 0.05: at the stated drop, five or more
    # of 164 break in 80 of 100 runs.
    drop = smallest_visible_drop(164, 0.0)
    assert drop is not None
    fewer = sum(comb(164, b) * drop**b * (1 - drop) ** (164 - b) for b in range(5))
    assert 1 - fewer == pytest.approx(0.8, abs=1e-6)


def test_no_drop_can_be_seen_where_too_few_passed() -> None:
    assert smallest_visible_drop(32, 0.0, pass_rate=4 / 32) is None
    assert smallest_visible_drop(4, 0.0) is None
    assert smallest_visible_drop(0, 0.0) is None


def test_a_larger_set_and_a_quieter_server_see_smaller_drops() -> None:
    drops = [smallest_visible_drop(n, 0.035) or 1.0 for n in (164, 500, 1_319, 14_042)]
    assert drops == sorted(drops, reverse=True)
    assert (smallest_visible_drop(1_319, 0.01) or 1.0) < (smallest_visible_drop(1_319, 0.05) or 0)


@pytest.mark.parametrize(("drop", "flip_rate"), [(0.02, 0.035), (0.05, 0.0), (0.01, 0.01)])
def test_the_samples_needed_see_the_drop(drop: float, flip_rate: float) -> None:
    n = samples_needed(drop, flip_rate)
    assert n is not None
    assert drop_power(n, flip_rate / 2 + drop, flip_rate / 2) >= 0.8
    assert drop_power(n // 2, flip_rate / 2 + drop, flip_rate / 2) < 0.8


def test_no_number_of_samples_shows_a_drop_within_the_tolerance() -> None:
    assert samples_needed(0.02, 0.01, tolerance=0.02) is None


@pytest.mark.parametrize(("n", "flip_rate"), [(164, 0.05), (1_319, 0.035), (32, 0.1)])
def test_noise_stays_within_its_tolerance(n: int, flip_rate: float) -> None:
    tolerance = tolerance_of_noise(n, flip_rate)
    rng = np.random.default_rng(8)
    half = flip_rate / 2
    draws = rng.multinomial(n, [half, half, 1 - flip_rate], size=4_000)
    exceeded = int(np.sum(draws[:, 0] - draws[:, 1] > tolerance * n + 1e-9))
    assert binomtest(exceeded, 4_000, 0.05, alternative="greater").pvalue > 0.001
    one_less = tolerance - 1 / n
    assert drop_power(n, half, half, 1.0, one_less) > 0.05


def test_without_noise_one_sample_is_the_tolerance() -> None:
    assert tolerance_of_noise(164, 0.0) == 1 / 164


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_the_drop_that_t_sees_agrees_with_the_exact_one_for_many_samples(tolerance: float) -> None:
    exact = smallest_visible_drop(10_000, 0.05, tolerance=tolerance)
    by_t = smallest_visible_drop_by_t((0.05 / 10_000) ** 0.5, 9_999, 10_000, tolerance=tolerance)
    assert by_t == pytest.approx(exact, rel=0.03)


def test_t_sees_nothing_with_one_cluster() -> None:
    assert smallest_visible_drop_by_t(float("nan"), 0, 10) is None
    assert smallest_visible_drop_by_t(0.5, 2, 3) is None
