from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import Condition, hopeless, parse_min_condition


@pytest.mark.parametrize(
    ("text", "metric", "operator", "threshold"),
    [
        ("humaneval:pass@1>=0.02", "pass@1", ">=", 0.02),
        ("humaneval:pass@1>=2%", "pass@1", ">=", 0.02),
        (" humaneval : pass@10 > .5 ", "pass@10", ">", 0.5),
        ("humaneval:truncated<=5 %", "truncated", "<=", 0.05),
        ("humaneval:empty<1", "empty", "<", 1.0),
        ("humaneval:pass@1>=100%", "pass@1", ">=", 1.0),
    ],
)
def test_a_condition_is_read(text: str, metric: str, operator: str, threshold: float) -> None:
    assert parse_min_condition(text) == Condition(
        benchmark="humaneval", metric=metric, operator=operator, threshold=threshold
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "humaneval",
        "humaneval:pass@1",
        "pass@1>=0.02",
        "humaneval:pass@1=0.02",
        "humaneval:pass@1>=two",
        "humaneval:>=0.02",
        ":pass@1>=0.02",
        "humaneval:pass@1>=0.02, more",
        "humaneval:pass@1>=-1",
    ],
)
def test_what_is_no_condition_gets_one_sentence_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"humaneval:pass@1>=0\.02\.$"):
        parse_min_condition(text)


def test_a_rate_above_one_is_taken_for_a_forgotten_percent_sign() -> None:
    with pytest.raises(ConfigError, match="did you mean 12%"):
        parse_min_condition("humaneval:pass@1>=12")


def test_the_bound_itself_meets_only_the_operators_that_include_it() -> None:
    held = {
        operator: parse_min_condition(f"humaneval:pass@1{operator}0.5").holds(0.5)
        for operator in (">=", "<=", ">", "<")
    }
    assert held == {">=": True, "<=": True, ">": False, "<": False}


def test_a_metric_without_a_value_meets_no_condition() -> None:
    assert not parse_min_condition("humaneval:pass@1>=0").holds(None)


@given(st.integers(0, 1000))
@settings(deadline=None)
def test_a_condition_reads_back_from_its_own_text(thousandths: int) -> None:
    condition = parse_min_condition(f"humaneval:pass@1>={thousandths / 1000}")
    assert parse_min_condition(str(condition)) == condition


@given(st.text())
@settings(deadline=None)
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_min_condition(text).metric


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("toy:pass@1>=0.5", []),
        ("toy:pass@10>=0.5", []),
        (
            "toy:pass@100>=0.5",
            [
                "the condition toy:pass@100>=0.5 cannot hold: it takes --lightllm-repeats=100, "
                "and this run has 10"
            ],
        ),
        ("toy:f1>=0.5", []),
        (
            "tony:f1>=0.5",
            [
                "the condition tony:f1>=0.5 cannot hold: no sample of tony was selected, but of "
                "other, toy"
            ],
        ),
    ],
)
def test_what_no_model_can_meet_is_told(text: str, sentences: list[str]) -> None:
    assert hopeless([parse_min_condition(text)], ("toy", "other"), 10) == sentences
