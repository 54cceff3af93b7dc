import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.embedded.faults import FaultPlan, FaultRule, check_rates, parse_fault
from lightllm_evals.errors import ConfigError

BODIES = [f"body {number}".encode() for number in range(2000)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("503=0.1", FaultRule(kind="503", rate=0.1)),
        ("hang=1", FaultRule(kind="hang", first=1)),
        ("cut=1.0", FaultRule(kind="cut", rate=1.0)),
        ("reset=every-10", FaultRule(kind="reset", every=10)),
    ],
)
def test_a_fault_is_a_share_a_count_or_a_period(text: str, rule: FaultRule) -> None:
    assert parse_fault(text) == rule


@pytest.mark.parametrize("text", ["503", "503=", "boom=1", "503=-1", "503=1.5", "503=nan", "=1"])
def test_another_fault_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(ConfigError, match=r"fault"):
        parse_fault(text)


def test_shares_that_exceed_all_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.2"):
        check_rates([parse_fault("503=0.6"), parse_fault("cut=0.6")])


@given(st.randoms(use_true_random=False))
def test_the_same_requests_fail_in_any_order(random: object) -> None:
    rules = [parse_fault("503=0.3"), parse_fault("cut=0.2")]
    shuffled = BODIES[:50]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object
    first = FaultPlan(rules=rules, seed=7)
    second = FaultPlan(rules=rules, seed=7)
    expected = {body: first.pick(body) for body in BODIES[:50]}
    assert {body: second.pick(body) for body in shuffled} == expected


def test_about_the_asked_share_fails_and_a_retry_draws_anew() -> None:
    plan = FaultPlan(rules=[parse_fault("503=0.1"), parse_fault("cut=0.05")], seed=1)
    kinds = [plan.pick(body) for body in BODIES]
    # Six standard deviations wide, and the draw is the same at every run.
    assert 120 < kinds.count("503") < 280
    assert 40 < kinds.count("cut") < 160
    failed = [body for body, kind in zip(BODIES, kinds, strict=True) if kind]
    assert any(plan.pick(body) == "" for body in failed)


def test_a_count_hits_the_first_requests_and_a_period_every_such() -> None:
    plan = FaultPlan(rules=[parse_fault("429=2"), parse_fault("reset=every-3")])
    kinds = [plan.pick(body) for body in BODIES[:7]]
    assert kinds == ["429", "429", "reset", "", "", "reset", ""]
