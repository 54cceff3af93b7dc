from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client import RateLimit
from lightllm_evals.client.retry import Backoff, retry_after_s


@given(
    st.integers(1, 10_000),
    st.none() | st.floats(0, 1e9),
    st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_negative_or_longer_than_the_bound(
    attempt: int, asked_s: float | None, random_part: float
) -> None:
    backoff = Backoff(retries=4)
    delay_s = backoff.delay_s(attempt, asked_s, random_part)
    assert 0 < delay_s <= backoff.longest_s
    assert delay_s >= min(asked_s or 0, backoff.longest_s)


def test_half_of_a_wait_is_random() -> None:
    backoff = Backoff(retries=4, first_s=2.0)
    assert backoff.delay_s(1, None, 0.0) == 1.0
    assert backoff.delay_s(1, None, 0.5) == 1.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("7", 7.0), (" 7 ", 7.0), ("soon", None), ("", None), ("-3", None)],
)
def test_retry_after_in_seconds_or_no_use(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value) == expected


def test_retry_after_as_a_date() -> None:
    date = datetime.now(timezone.utc) + timedelta(hours=1)
    wait_s = retry_after_s(format_datetime(date, usegmt=True))
    assert wait_s is not None
    assert 3000 < wait_s <= 3600
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 5), min_size=1, max_size=50))
def test_a_rate_is_never_exceeded_and_never_wasted(rate: float, gaps: list[float]) -> None:
    now = 0.0
    limit = RateLimit(rate, clock=lambda: now)
    starts = []
    for gap in gaps:
        now += gap
        starts.append(now + limit.reserve())
    for previous, start in itertools.pairwise(starts):
        assert start - previous >= 1 / rate * (1 - 1e-6)
    # The first of all never waits, nor does one that comes after a long pause.
    assert starts[0] == gaps[0]
    now = starts[-1] + 1 / rate * (1 + 1e-6)
    assert limit.reserve() == pytest.approx(0, abs=1e-6)


def test_a_burst_passes_at_once() -> None:
    limit = RateLimit(10.0, burst=3, clock=lambda: 0.0)
    assert [limit.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimit(rate)
