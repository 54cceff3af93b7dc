from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import BenchmarkPolicy, parse_policy
from lightllm_evals.gate.policy import TimingLimit


def test_an_empty_text_is_the_default_policy() -> None:
    assert parse_policy("").for_benchmark("humaneval") == BenchmarkPolicy()
    assert parse_policy(" ;\n ").for_benchmark("humaneval") == BenchmarkPolicy()


def test_the_issue_s_example_is_read() -> None:
    found = parse_policy("humaneval: drop<=2, alpha=0.05").for_benchmark("humaneval")
    assert (found.max_drop, found.alpha, found.needs_baseline) == (0.02, 0.05, True)


def test_every_item_is_read() -> None:
    found = parse_policy(
        "humaneval: drop<=1.5%, alpha=0.01, power=0.9, visible<=5, pass@1>=12%, pass@10>=0.3,"
        " must_pass=HumanEval/0|HumanEval/2, must_pass=HumanEval/5, truncated<=5%, empty<=0,"
        " unextracted<=0.02, latency_p50<=1.1, latency_p95<=120%, ttft_p50<=1.2, ttft_p95<=1.3,"
        " tokens_per_s>=0.9, errors<=2, samples=common, inconclusive=pass"
    ).for_benchmark("humaneval")
    assert found == BenchmarkPolicy(
        max_drop=0.015,
        needs_baseline=True,
        alpha=0.01,
        power=0.9,
        max_visible_drop=0.05,
        floors={"pass@1": 0.12, "pass@10": 0.3},
        must_pass=("HumanEval/0", "HumanEval/2", "HumanEval/5"),
        limits={"truncated": 0.05, "empty": 0.0, "unextracted": 0.02},
        timings=(
            TimingLimit(name="latency_p50", ratio=1.1),
            TimingLimit(name="latency_p95", ratio=1.2),
            TimingLimit(name="ttft_p50", ratio=1.2),
            TimingLimit(name="ttft_p95", ratio=1.3),
            TimingLimit(name="tokens_per_s", ratio=0.9),
        ),
        max_errors=2,
        is_common_enough=True,
        is_inconclusive_pass=True,
    )


def test_sections_are_for_their_benchmarks_and_later_ones_win() -> None:
    policy = parse_policy("errors<=1; mmlu*: drop<=1\nmmlu_law: drop<=3, inconclusive=pass")
    assert policy.for_benchmark("gsm8k").max_drop == 0.02
    assert policy.for_benchmark("mmlu_art").max_drop == 0.01
    law = policy.for_benchmark("mmlu_law")
    assert (law.max_drop, law.max_errors, law.is_inconclusive_pass) == (0.03, 1, True)


def test_a_drop_can_be_switched_off() -> None:
    found = parse_policy("drop<=2; humaneval: drop=off").for_benchmark("humaneval")
    assert (found.max_drop, found.needs_baseline) == (None, False)


def test_allowed_errors_are_a_number_or_a_share() -> None:
    assert parse_policy("errors<=3").for_benchmark("x").allowed_errors(164) == 3
    assert parse_policy("errors<=10%").for_benchmark("x").allowed_errors(164) == 16
    assert parse_policy("").for_benchmark("x").allowed_errors(164) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("humaneval: dorp<=2", r"cannot say 'dorp<=2'; it can say drop<=2"),
        ("humaneval:", r"asks for nothing"),
        ("drop<2", r"needs <= or >="),
        ("drop>=2", r"needs <= instead"),
        ("drop<=101", r"points of percent"),
        ("alpha=5", r"between 0 and 1"),
        ("alpha=half", r"between 0 and 1"),
        ("pass@1>=12", r"did you mean 12%"),
        ("truncated<=5", r"did you mean 5%"),
        ("truncated>=5%", r"needs <= instead"),
        ("latency_p95>=1.2", r"write latency_p95<=1\.2"),
        ("tokens_per_s<=0.9", r"write tokens_per_s>=0\.9"),
        ("latency_p99<=1.2", r"cannot say"),
        ("errors<=1.5", r"whole number"),
        ("inconclusive=maybe", r"cannot say"),
        ("samples=some", r"cannot say"),
        ("must_pass=", r"cannot say"),
        ("must_pass=|", r"cannot say"),
        ("drop", r"cannot say"),
    ],
)
def test_what_makes_no_sense_gets_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_policy(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="drop<>=2%,;: \nalphmust_@*?|."))
@settings(deadline=None)
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_policy(text).for_benchmark("humaneval").alpha > 0
