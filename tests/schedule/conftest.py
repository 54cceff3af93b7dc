from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lightllm_evals.records import Request, SamplingParams
from lightllm_evals.schedule import Action, Break, Check, Deliver, Failure, Schedule, Send


class Desk:
    """A schedule with a clock of its own and books of what it wanted done."""

    def __init__(self, **options: Any) -> None:
        options = {"concurrency": 4, "num_replicas": 1, "window": 10_000, **options}
        self.schedule = Schedule(**options)
        self.now = 0.0
        self.in_flight: dict[str, Send] = {}
        self.sent: list[str] = []
        self.delivered: list[str] = []
        self.broken: tuple[str, ...] | None = None
        self.checks: list[int] = []

    def plan(self, *ids: str, prefix: str = "", max_new_tokens: int = 8) -> None:
        params = SamplingParams(max_new_tokens=max_new_tokens)
        requests = [Request(id=i, params=params, prefix=prefix) for i in ids]
        self._perform(self.schedule.plan(requests, self.now))

    def want(self, request_id: str) -> None:
        self._perform(self.schedule.want(request_id, self.now))

    def release(self, *ids: str) -> None:
        for request_id in ids:
            self._perform(self.schedule.release(request_id, self.now))

    def forget(self, *ids: str) -> None:
        self._perform(self.schedule.forget(ids, self.now))

    def complete(self, *ids: str) -> None:
        for request_id in ids:
            ticket = self.in_flight.pop(request_id).ticket
            self._perform(self.schedule.completed(ticket, self.now))

    def complete_all(self) -> None:
        while self.in_flight:
            self.complete(next(iter(self.in_flight)))

    def fail(self, *ids: str, failure: Failure = "unreachable") -> None:
        for request_id in ids:
            ticket = self.in_flight.pop(request_id).ticket
            self._perform(self.schedule.failed(ticket, failure, self.now))

    def check(self, *, is_reachable: bool) -> None:
        replica = self.checks.pop(0)
        self._perform(self.schedule.checked(replica, is_reachable=is_reachable, now=self.now))

    def pass_to_next_tick(self) -> float:
        """Lets time pass until something is due; returns how long that took, in seconds."""
        due = self.schedule.next_tick
        assert due is not None
        passed_s, self.now = due - self.now, due
        self._perform(self.schedule.tick(due))
        return passed_s

    def stop(self) -> None:
        self._perform(self.schedule.stop())

    def at(self, replica: int) -> list[str]:
        return [i for i, send in self.in_flight.items() if send.replica == replica]

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.in_flight[action.request.id] = action
                self.sent.append(action.request.id)
            elif isinstance(action, Deliver):
                self.delivered.append(action.request_id)
            elif isinstance(action, Break):
                self.broken = (self.broken or ()) + action.request_ids
            elif isinstance(action, Check):
                self.checks.append(action.replica)


@pytest.fixture
def new_desk() -> Callable[..., Desk]:
    """Makes a schedule that a test drives by hand; options are the schedule's own."""
    return Desk
