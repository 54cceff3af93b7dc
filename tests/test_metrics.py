from __future__ import annotations

import itertools
import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.metrics import (
    Part,
    accuracy,
    aggregate,
    macro_mean,
    micro_mean,
    pass_at_k,
    pass_at_k_estimate,
    ratio,
)
from lightllm_evals.stats import ratio_interval, wilson_interval

counts = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def brute_force(n: int, c: int, k: int) -> float:
    """Returns the share of all subsets of k completions that hold a passing one."""
    subsets = list(itertools.combinations(range(n), k))
    return sum(any(i < c for i in subset) for subset in subsets) / len(subsets)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_equals_brute_force_for_every_small_case(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        assert pass_at_k([n], [c], k) == pytest.approx(brute_force(n, c, k), abs=1e-12)


@given(counts)
@settings(deadline=None)
def test_pass_at_1_is_the_share_that_passed(count: tuple[int, int]) -> None:
    n, c = count
    assert pass_at_k([n], [c], 1) == pytest.approx(c / n)


@given(counts, st.data())
@settings(deadline=None)
def test_pass_at_k_is_a_rate_and_grows_with_k_and_c(
    count: tuple[int, int], data: st.DataObject
) -> None:
    n, c = count
    k = data.draw(st.integers(1, n))
    value = pass_at_k([n], [c], k)
    assert value is not None
    assert 0 <= value <= 1
    if k < n:
        assert (pass_at_k([n], [c], k + 1) or 0) >= value - 1e-12
    if c < n:
        assert (pass_at_k([n], [c + 1], k) or 0) >= value - 1e-12


@given(st.lists(counts, min_size=1, max_size=20))
@settings(deadline=None)
def test_pass_at_k_equals_the_formula_in_exact_arithmetic(pairs: list[tuple[int, int]]) -> None:
    k = min(n for n, _ in pairs)
    exact = sum(1 - Fraction(comb(n - c, k), comb(n, k)) for n, c in pairs) / len(pairs)
    assert pass_at_k([n for n, _ in pairs], [c for _, c in pairs], k) == pytest.approx(
        float(exact), abs=1e-9
    )


def test_pass_at_10_is_absent_where_one_problem_has_9_completions() -> None:
    assert pass_at_k([10, 9], [3, 3], 10) is None
    assert pass_at_k([10, 10], [3, 3], 10) == 1.0


def test_pass_at_k_is_absent_without_problems() -> None:
    assert pass_at_k([], [], 1) is None


@pytest.mark.parametrize(
    ("n", "c", "k"), [([1], [2], 1), ([1], [-1], 1), ([1, 1], [1], 1), ([1], [1], 0)]
)
def test_impossible_counts_are_refused(n: list[int], c: list[int], k: int) -> None:
    with pytest.raises(ValueError, match=r"pass|numbers"):
        pass_at_k(n, c, k)


def test_one_completion_a_problem_gets_wilsons_interval() -> None:
    estimate = pass_at_k_estimate([[1.0]] * 21 + [[0.0]] * 143, 1)
    assert estimate.value == pytest.approx(21 / 164)
    assert estimate.interval == wilson_interval(21, 164)
    assert "Wilson" in estimate.definition


def test_repeats_do_not_narrow_the_interval_of_samples_that_never_vary() -> None:
    once = pass_at_k_estimate([[1.0]] * 20 + [[0.0]] * 20, 1)
    ten_times = pass_at_k_estimate([[1.0] * 10] * 20 + [[0.0] * 10] * 20, 1)
    assert once.interval is not None
    assert ten_times.interval is not None
    width = ten_times.interval.high - ten_times.interval.low
    assert width == pytest.approx(once.interval.high - once.interval.low, rel=0.1)


def test_no_estimate_where_pass_at_k_is_absent() -> None:
    estimate = pass_at_k_estimate([[1.0], [0.0]], 2)
    assert estimate.value is None
    assert estimate.interval is None


def test_accuracy_of_nothing_has_no_value() -> None:
    assert accuracy([]).value is None
    assert macro_mean({}).value is None
    assert micro_mean({}).value is None


def test_fractional_scores_get_a_t_interval() -> None:
    estimate = accuracy([0.25, 0.75, 0.5, 0.5])
    assert estimate.value == 0.5
    assert estimate.interval is not None
    # By hand: sd = sqrt(0.125 / 3), t(3, 0.975) = 3.182446.
    assert estimate.interval.high == pytest.approx(0.5 + 3.182446 * (0.125 / 3) ** 0.5 / 2)


def test_micro_weighs_samples_and_macro_weighs_groups() -> None:
    scores = {"law": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "art": [0.0, 0.0], "none": []}
    assert micro_mean(scores).value == 0.75
    assert macro_mean(scores).value == 0.5
    assert macro_mean(scores).n == 2


def test_a_single_group_is_no_cluster() -> None:
    assert micro_mean({"": [1.0, 0.0]}) == accuracy([1.0, 0.0])


def test_a_ratio_of_sums_is_no_mean_of_ratios() -> None:
    found = ratio("instruction_strict", [1, 1], [1, 3])
    assert (found.value, found.unit, found.n) == (0.5, "share", 2)
    assert found.interval == ratio_interval([1, 1], [1, 3])
    assert found.definition == "ratio of sums over samples, linearised t interval"


def test_a_perplexity_is_exp_of_the_ratio_and_of_both_ends() -> None:
    found = ratio("word_perplexity", [6.0, 10.0], [2, 6])
    inner = ratio_interval([6.0, 10.0], [2, 6])
    assert found.unit == "perplexity"
    assert found.value == pytest.approx(math.exp(2))
    assert found.interval is not None
    assert inner is not None
    ends = (math.exp(inner.low), math.exp(inner.high))
    assert (found.interval.low, found.interval.high) == pytest.approx(ends)
    assert found.definition.startswith("exp of ratio of sums over samples, exp of both ends of")


def test_bits_counts_and_nothing_at_all_have_their_units() -> None:
    assert ratio("bits_per_byte", [5.0, 3.0], [4, 4]).unit == "bits"
    assert ratio("answers", [5.0, 3.0], [1, 1]).unit == "number"
    nothing = ratio("word_perplexity", [], [])
    assert (nothing.value, nothing.interval, nothing.unit) == (None, None, "perplexity")


def test_a_hopeless_perplexity_is_still_a_number() -> None:
    assert math.isfinite(ratio("perplexity", [5000.0, 9000.0], [1, 1]).value or 0)


def test_micro_weighs_samples_and_macro_groups() -> None:
    parts = [Part(1, group="a"), Part(1, group="a"), Part(1, group="a"), Part(0, group="b")]
    scores = {"a": [1.0, 1.0, 1.0], "b": [0.0]}
    assert aggregate("acc", parts) == micro_mean(scores)
    assert aggregate("acc", parts, "macro") == macro_mean(scores)
    assert aggregate("acc", parts).value == 0.75
    assert aggregate("acc", parts, "macro").value == 0.5


def test_what_has_no_groups_or_only_groups_of_one_has_no_clusters() -> None:
    alone = [Part(1), Part(0), Part(1)]
    assert aggregate("acc", alone, "macro") == aggregate("acc", alone) == accuracy([1, 0, 1])
    apart = [Part(1, group="a"), Part(0, group="b"), Part(1, group="c")]
    assert aggregate("acc", apart) == accuracy([1, 0, 1])


def test_a_macro_perplexity_is_exp_of_the_mean_of_the_groups() -> None:
    parts = [Part(6, 2, "a"), Part(2, 2, "a"), Part(4, 4, "b"), Part(0, 0, "c")]
    found = aggregate("word_perplexity", parts, "macro")
    # Groups have 8/4 and 4/4; one without a word has none.
    assert found.value == pytest.approx(math.exp(1.5))
    assert found.n == 2
    assert found.definition.startswith("exp of mean over groups, exp of both ends")
    micro = aggregate("word_perplexity", parts)
    assert micro.value == pytest.approx(math.exp(12 / 8))
    assert micro.definition.endswith("its cluster-robust linearised t interval over groups")
