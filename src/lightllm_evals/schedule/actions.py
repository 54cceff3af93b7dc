"""What the schedule wants done, and how a request can fail, as plain data."""

from __future__ import annotations

from typing import Literal, NamedTuple

from lightllm_evals.records import Request

Failure = Literal["unreachable", "timeout", "other"]
"""Why a request got no answer: no connection, no answer in time, or anything else."""


class Send(NamedTuple):
    """Send this request to this replica; report its ticket completed or failed later.

    The ticket names this one attempt: an id may be forgotten and planned again meanwhile.
    """

    ticket: int
    request: Request
    replica: int


class Deliver(NamedTuple):
    """Hand on the outcome that was just reported: it is this request's only one."""

    request_id: str


class Check(NamedTuple):
    """Find out whether this replica accepts connections; report it checked."""

    replica: int


class Break(NamedTuple):
    """Nothing is sent any more: these requests have ended without an outcome of their own."""

    request_ids: tuple[str, ...]


Action = Send | Deliver | Check | Break
