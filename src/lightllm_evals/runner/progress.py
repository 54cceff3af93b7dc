"""How far a run is: what the live line and the stall report show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class InFlight(NamedTuple):
    """A request that a server works on."""

    request_id: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A look at the generation at one moment.

    Attributes:
        planned: Requests planned so far, without those that were forgotten.
        in_flight: Sent and not back.
        done: Completed.
        failed: Ended with an error.
        waiting_to_be_scored: Completed and not released.
        output_tokens: Tokens of all completions.
        scored_tokens: Tokens of given texts whose log-probabilities were told.
        elapsed_s: From the first request sent to now, or to the last one back if none is left.
        tokens_per_s: Both over ``elapsed_s``; 0 before the first completion.
        since_last_completion_s: Since the last completion, or since the first request sent while
            there is none. 0 when nothing is in flight: then nothing is overdue.
        in_flight_ids: Oldest first.
    """

    planned: int
    in_flight: int
    done: int
    failed: int
    waiting_to_be_scored: int
    output_tokens: int
    scored_tokens: int
    elapsed_s: float
    tokens_per_s: float
    since_last_completion_s: float
    in_flight_ids: tuple[InFlight, ...]
