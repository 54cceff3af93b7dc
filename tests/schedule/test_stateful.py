"""In every order of events each request ends once, within all limits, and none is left over."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lightllm_evals.records import Request, SamplingParams
from lightllm_evals.schedule import Action, Check, Deliver, Failure, Schedule, Send

PARAMS = SamplingParams(max_new_tokens=8)


class Orders(RuleBasedStateMachine):
    """Feeds events to a schedule, and keeps its own books of what may happen."""

    @initialize(
        concurrency=st.integers(1, 6),
        num_replicas=st.integers(1, 3),
        window=st.integers(1, 8),
        in_order=st.booleans(),
        replica_limit=st.none() | st.integers(1, 4),
        lengths=st.none() | st.dictionaries(st.integers(0, 30).map(str), st.integers(1, 99)),
    )
    def start(
        self,
        concurrency: int,
        num_replicas: int,
        window: int,
        in_order: bool,
        replica_limit: int | None,
        lengths: dict[str, int] | None,
    ) -> None:
        self.concurrency = concurrency
        self.num_replicas = num_replicas
        self.window = window
        self.replica_limit = replica_limit
        self.schedule = Schedule(
            concurrency=concurrency,
            num_replicas=num_replicas,
            window=window,
            in_order=in_order,
            expected_tokens=lengths,
            replica_limit=replica_limit,
            first_pause_s=1.0,
        )
        self.now = 0.0
        self.num_planned = 0
        self.in_flight: dict[int, Send] = {}
        self.checks: list[int] = []
        self.planned: set[str] = set()
        self.wanted: set[str] = set()
        self.forgotten: set[str] = set()
        self.unscored: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.warm: set[tuple[str, int]] = set()
        self.is_closed = False
        self.is_healthy = True

    def perform(self, actions: list[Action], *, completed: bool = False) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.send(action)
            elif isinstance(action, Check):
                assert action.replica not in self.checks
                self.checks.append(action.replica)
            elif isinstance(action, Deliver):
                self.outcomes[action.request_id] += 1
                if completed:
                    self.unscored.add(action.request_id)
            else:
                self.outcomes.update(action.request_ids)
                self.is_closed = True

    def send(self, send: Send) -> None:
        request_id = send.request.id
        assert not self.is_closed
        assert request_id not in self.forgotten
        assert self.outcomes[request_id] == 0
        self.attempts[request_id] += 1
        assert self.attempts[request_id] <= self.num_replicas + 1
        ahead = len(self.in_flight) + len(self.unscored)
        is_first = self.attempts[request_id] == 1
        assert not is_first or request_id in self.wanted or ahead < self.window
        self.in_flight[send.ticket] = send

    @rule(count=st.integers(1, 12), prefixes=st.lists(st.sampled_from(["", "p", "q"])))
    def plan(self, count: int, prefixes: list[str]) -> None:
        requests = []
        for index in range(count):
            prefix = prefixes[index % len(prefixes)] if prefixes else ""
            requests.append(Request(id=str(self.num_planned), params=PARAMS, prefix=prefix))
            self.num_planned += 1
        self.planned.update(request.id for request in requests)
        self.perform(self.schedule.plan(requests, self.now))

    @precondition(lambda self: self.planned)
    @rule(data=st.data())
    def plan_again(self, data: st.DataObject) -> None:
        known = sorted(self.planned - self.forgotten)
        assume(known)
        request = Request(id=data.draw(st.sampled_from(known)), params=PARAMS)
        self.perform(self.schedule.plan([request], self.now))

    @rule(number=st.integers(0, 40))
    def want(self, number: int) -> None:
        self.wanted.add(str(number))
        self.perform(self.schedule.want(str(number), self.now))

    @precondition(lambda self: self.unscored)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.unscored)))
        self.unscored.remove(request_id)
        self.perform(self.schedule.release(request_id, self.now))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.in_flight)))
        del self.in_flight[ticket]
        self.perform(self.schedule.completed(ticket, self.now), completed=True)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), failure=st.sampled_from(["unreachable", "timeout", "other"]))
    def fail(self, data: st.DataObject, failure: Failure) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.in_flight)))
        del self.in_flight[ticket]
        self.perform(self.schedule.failed(ticket, failure, self.now))

    @precondition(lambda self: self.checks)
    @rule(is_reachable=st.booleans())
    def check(self, is_reachable: bool) -> None:
        replica = self.checks.pop(0)
        actions = self.schedule.checked(replica, is_reachable=is_reachable, now=self.now)
        self.perform(actions)

    @rule(replica=st.integers(0, 2))
    def refuse(self, replica: int) -> None:
        self.schedule.refused(replica % self.num_replicas)

    @rule(seconds=st.floats(0, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.schedule.tick(self.now))

    @precondition(lambda self: self.planned)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.planned)))
        self.forgotten.add(request_id)
        self.unscored.discard(request_id)
        self.perform(self.schedule.forget([request_id], self.now))

    @precondition(lambda self: self.num_planned > 20)
    @rule()
    def stop(self) -> None:
        self.perform(self.schedule.stop())
        assert self.is_closed

    @invariant()
    def in_flight_is_bounded(self) -> None:
        if not hasattr(self, "schedule"):
            return
        assert len(self.in_flight) <= self.concurrency
        assert self.schedule.counts.in_flight == len(self.in_flight)
        if self.replica_limit:
            at = Counter(send.replica for send in self.in_flight.values())
            assert all(count <= self.replica_limit for count in at.values())

    @invariant()
    def no_request_has_two_outcomes(self) -> None:
        if hasattr(self, "schedule"):
            assert all(count == 1 for count in self.outcomes.values())
            assert self.schedule.counts.waiting_to_be_scored == len(self.unscored)

    def teardown(self) -> None:
        """Whatever happened before: once servers answer and cases ask, everything ends."""
        if not hasattr(self, "schedule"):
            return
        for request_id in sorted(self.planned - self.forgotten):
            self.wanted.add(request_id)
            self.perform(self.schedule.want(request_id, self.now))
        while self.in_flight or self.checks or self.schedule.next_tick is not None:
            if self.in_flight:
                ticket = min(self.in_flight)
                del self.in_flight[ticket]
                self.perform(self.schedule.completed(ticket, self.now), completed=True)
            elif self.checks:
                replica = self.checks.pop()
                self.perform(self.schedule.checked(replica, is_reachable=True, now=self.now))
            else:
                assert self.schedule.next_tick is not None
                self.now = max(self.now, self.schedule.next_tick)
                self.perform(self.schedule.tick(self.now))
        left = {i for i in self.planned - self.forgotten if self.outcomes[i] != 1}
        assert not left, repr(self.schedule)


# The same orders each time: a run of the suite must not depend on luck.
Orders.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)
TestEveryOrderOfEvents = Orders.TestCase
