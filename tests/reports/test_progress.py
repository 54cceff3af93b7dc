from __future__ import annotations

import dataclasses

import pytest

from lightllm_evals.reports.progress import duration, progress_line, stall_line
from lightllm_evals.runner import Progress
from lightllm_evals.runner.progress import InFlight

HALF_WAY = Progress(
    planned=164,
    in_flight=64,
    done=50,
    failed=1,
    waiting_to_be_scored=9,
    output_tokens=5000,
    scored_tokens=0,
    elapsed_s=10.0,
    tokens_per_s=500.0,
    since_last_completion_s=0.0,
    in_flight_ids=(),
)


def test_line_says_how_far_the_run_is() -> None:
    counts = {"passed": 30, "failed": 10, "error": 1}
    assert progress_line(HALF_WAY, counts) == (
        "41/164 done, 75.0 % passed, 64 in flight, 500 tokens/s, 1 error, 30 s left"
    )


def test_nothing_is_guessed_before_the_first_score() -> None:
    fresh = dataclasses.replace(HALF_WAY, tokens_per_s=0.0)
    assert progress_line(fresh, {}) == "0/164 done, 64 in flight, 0 tokens/s"


def test_nothing_is_left_at_the_end() -> None:
    done = dataclasses.replace(HALF_WAY, in_flight=0)
    assert progress_line(done, {"passed": 164}) == (
        "164/164 done, 100.0 % passed, 0 in flight, 500 tokens/s"
    )


def test_a_stall_names_the_oldest_requests_and_counts_the_others() -> None:
    ids = tuple(InFlight(f"test_x[{number}]", 90.0 - number) for number in range(7))
    stalled = dataclasses.replace(HALF_WAY, since_last_completion_s=75.0, in_flight_ids=ids)
    assert stall_line(stalled) == (
        "nothing completed for 1 min 15 s; in flight: test_x[0] (1 min 30 s), "
        "test_x[1] (1 min 29 s), test_x[2] (1 min 28 s), test_x[3] (1 min 27 s), "
        "test_x[4] (1 min 26 s) and 2 more"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
