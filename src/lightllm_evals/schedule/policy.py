"""The policy: events in, actions out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lightllm_evals.records import Request
from lightllm_evals.schedule.actions import Action, Break, Check, Deliver, Failure, Send
from lightllm_evals.schedule.backlog import Backlog, Item, State
from lightllm_evals.schedule.replica import Health, Replica

# Longer than a warm-up's use: a held group leaves the server's slots empty.
WARM_UP_PATIENCE_S = 10.0
# A hung server lets every request run into its deadline; two rounds of nothing else are enough,
# but a few slow samples in a row at low concurrency are not.
MIN_TIMEOUTS_IN_A_ROW = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many requests stand where.

    Attributes:
        planned: All that were planned, without those that were forgotten before they ended.
        in_flight: Sent and not back.
        done: Completed.
        failed: Ended with an error.
        waiting_to_be_scored: Completed and not released.
    """

    planned: int
    in_flight: int
    done: int
    failed: int
    waiting_to_be_scored: int


class Schedule:
    """Decides which request goes next and to which replica.

    Every method but the properties is an event, and returns what is to be done now, in this
    order. ``now`` is any clock in seconds that never goes back.

    - At most ``concurrency`` requests are in flight, at most ``replica_limit`` at one replica.
    - Look-ahead is bounded: requests in flight and completions that are not released are never
      more than ``window``, except those that a case waits for.
    - Each planned request ends once: by Deliver, in a Break, by ``stop`` or by ``forget``.
    - A request that cannot reach a replica goes to another, or waits until one is back. It is sent
      at most once more than there are replicas; if all are gone it ends with all others, so that
      one death is one error and not one for each slot.

    Args:
        concurrency: Requests in flight at most, over all replicas; >= 1.
        num_replicas: How many servers there are; >= 1.
        window: See above; >= 1.
        in_order: Send in the order of planning. Otherwise prefixes stay together and, where
            lengths are known, the longest go first: a long one that starts last is waited for.
        expected_tokens: Output tokens by request id, from an earlier run; may grow later. A
            request that is not in it counts with its max_new_tokens.
        replica_limit: In flight at one replica at most (``running_max_req_size``); None is no
            other limit than ``concurrency``.
        first_pause_s: How long a failing replica is put aside at first.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        num_replicas: int,
        window: int,
        in_order: bool = False,
        expected_tokens: Mapping[str, int] | None = None,
        replica_limit: int | None = None,
        first_pause_s: float = 0.5,
    ) -> None:
        self._concurrency = concurrency
        self._window = window
        self._expected_tokens = expected_tokens if not in_order else None
        ceiling = min(concurrency, replica_limit or concurrency)
        self._replicas = [
            Replica(index, ceiling=ceiling, first_pause_s=first_pause_s)
            for index in range(num_replicas)
        ]
        self._backlog = Backlog(
            num_replicas, in_order=in_order, knows_lengths=expected_tokens is not None
        )
        self._items: dict[str, Item] = {}
        self._moved: dict[str, Item] = {}
        self._sent: dict[int, Item] = {}
        self._num_sent = 0
        self._early_wants: set[str] = set()
        self._warm_ups: deque[tuple[float, Item]] = deque()
        self._num_added = 0
        self._num_planned = 0
        self._num_waiting = 0
        self._num_in_flight = 0
        self._num_unscored = 0
        self._num_done = 0
        self._num_failed = 0
        self._num_timeouts_in_a_row = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Schedule({self.counts}, moved={len(self._moved)}, {self._replicas})"

    @property
    def counts(self) -> Counts:
        """How many requests stand where."""
        return Counts(
            planned=self._num_planned,
            in_flight=self._num_in_flight,
            done=self._num_done,
            failed=self._num_failed,
            waiting_to_be_scored=self._num_unscored,
        )

    @property
    def next_tick(self) -> float | None:
        """When ``tick`` is due, None if nothing waits for time to pass."""
        if self._is_closed:
            return None
        while self._warm_ups and self._warm_ups[0][1].warm_up is None:
            self._warm_ups.popleft()
        times = [r.retry_at for r in self._replicas if r.retry_at is not None]
        times += [self._warm_ups[0][0]] if self._warm_ups else []
        return min(times, default=None)

    def plan(self, requests: Iterable[Request], now: float) -> list[Action]:
        """Takes requests in; those whose id is planned already are ignored."""
        items = [self._add(r) for r in requests if r.id not in self._items]
        if self._is_closed:
            return [Break(tuple(self._end(item) for item in items))] if items else []
        for item in items:
            if item.id in self._early_wants:
                self._want(item)
        return self._fill(now)

    def want(self, request_id: str, now: float) -> list[Action]:
        """A case waits for this request: it goes next, whatever the window says."""
        item = self._items.get(request_id)
        if item is None:
            self._early_wants.add(request_id)
            return []
        if item.state is not State.WAITING or item.is_wanted:
            return []
        self._want(item)
        return self._fill(now)

    def release(self, request_id: str, now: float) -> list[Action]:
        """The completion is used: its place in the window is free."""
        item = self._items.get(request_id)
        if item is None or item.state is not State.DONE:
            return []
        item.state = State.ENDED
        self._num_unscored -= 1
        return self._fill(now)

    def forget(self, request_ids: Iterable[str], now: float) -> list[Action]:
        """These will not be needed: what is not sent never is, what is in flight is dropped.

        A forgotten id is unknown again, and may be planned anew.
        """
        for request_id in request_ids:
            self._early_wants.discard(request_id)
            item = self._items.pop(request_id, None)
            if item is not None:
                self._forget(item)
        return self._fill(now)

    def completed(self, ticket: int, now: float) -> list[Action]:
        """A request that was sent is back with a completion."""
        item = self._land(ticket, is_success=True)
        self._replicas[item.replica].answered()
        self._num_timeouts_in_a_row = 0
        actions: list[Action] = []
        if item.state is State.IN_FLIGHT:
            item.state = State.DONE
            item.request = None
            self._num_done += 1
            self._num_unscored += 1
            actions.append(Deliver(item.id))
        return actions + self._fill(now)

    def failed(self, ticket: int, failure: Failure, now: float) -> list[Action]:
        """A request that was sent is back without one."""
        item = self._land(ticket, is_success=False)
        self._note_failure(item, failure, now)
        actions: list[Action] = []
        if item.state is State.IN_FLIGHT:
            if failure == "unreachable" and len(item.tried) <= len(self._replicas):
                item.state = State.MOVED
                self._moved[item.id] = item
            else:
                actions.append(Deliver(self._end(item)))
        return actions + self._break() + self._fill(now)

    def refused(self, replica: int) -> None:
        """A replica answered 429 or 503 to an attempt; the request itself goes on."""
        self._replicas[replica].refused()

    def checked(self, replica: int, *, is_reachable: bool, now: float) -> list[Action]:
        """A Check has a result."""
        self._replicas[replica].checked(is_reachable, now)
        return self._break() + self._fill(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed; due at ``next_tick``, harmless at any other time."""
        while self._warm_ups and self._warm_ups[0][0] <= now:
            self._backlog.lose_patience(self._warm_ups.popleft()[1])
        actions: list[Action] = []
        for replica in self._replicas:
            if replica.is_due(now) and not self._is_closed:
                replica.start_check()
                actions.append(Check(replica.index))
        return actions + self._fill(now)

    def stop(self) -> list[Action]:
        """Ends whatever has not ended, in flight or not, and all that is planned later."""
        return [] if self._is_closed else [self._close()]

    def _add(self, request: Request) -> Item:
        expected = 0
        if self._expected_tokens is not None:
            expected = self._expected_tokens.get(request.id, request.params.max_new_tokens)
        self._num_added += 1
        item = Item(request, self._num_added, -float(expected))
        self._num_planned += 1
        self._num_waiting += 1
        self._items[request.id] = item
        self._backlog.add(item, request.prefix)
        return item

    def _want(self, item: Item) -> None:
        item.is_wanted = True
        self._early_wants.discard(item.id)
        self._backlog.want(item)

    def _forget(self, item: Item) -> None:
        if item.state is State.DONE:
            self._num_unscored -= 1
        elif item.state is not State.ENDED:
            self._num_planned -= 1
            self._num_waiting -= item.state is State.WAITING
            self._moved.pop(item.id, None)
        item.state = State.ENDED

    def _end(self, item: Item) -> str:
        if item.state is State.WAITING:
            self._num_waiting -= 1
        item.state = State.ENDED
        item.request = None
        self._num_failed += 1
        return item.id

    def _close(self) -> Break:
        self._is_closed = True
        self._moved.clear()
        open_states = (State.WAITING, State.MOVED, State.IN_FLIGHT)
        items = [item for item in self._items.values() if item.state in open_states]
        return Break(tuple(self._end(item) for item in items))

    def _land(self, ticket: int, *, is_success: bool) -> Item:
        item = self._sent.pop(ticket)
        self._num_in_flight -= 1
        self._backlog.finish(item, is_success=is_success)
        return item

    def _note_failure(self, item: Item, failure: Failure, now: float) -> None:
        replica = self._replicas[item.replica]
        if failure == "unreachable":
            replica.unreachable(item.id, now)
            item.tried += (replica.index,)
        elif failure == "timeout":
            replica.timed_out(item.id)
            self._num_timeouts_in_a_row += 1
        else:
            replica.answered()

    def _break(self) -> list[Action]:
        limit = max(MIN_TIMEOUTS_IN_A_ROW, 2 * self._concurrency)
        is_broken = (
            all(replica.is_gone for replica in self._replicas)
            or self._num_timeouts_in_a_row >= limit
        )
        return [self._close()] if is_broken and not self._is_closed else []

    def _fill(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while (
            not self._is_closed
            and self._num_in_flight < self._concurrency
            and (self._num_waiting or self._moved)
        ):
            send = self._next_send(now)
            if send is None:
                break
            actions.append(send)
        return actions

    def _next_send(self, now: float) -> Send | None:
        replicas = [replica for replica in self._replicas if replica.has_room]
        if len(replicas) > 1:
            replicas.sort(key=lambda replica: replica.load)
        for replica in replicas:
            item = self._take(replica)
            if item is not None:
                return self._send(item, replica, now)
        return None

    def _take(self, replica: Replica) -> Item | None:
        if replica.health is Health.UP:
            return self._take_moved(replica) or self._take_new(replica)
        # A trial asks about the server, not about a request that may itself be what breaks it.
        return self._take_new(replica) or self._take_moved(replica)

    def _take_moved(self, replica: Replica) -> Item | None:
        movable = (item for item in self._moved.values() if self._may_move(item, replica))
        item = next(movable, None)
        return self._moved.pop(item.id) if item is not None else None

    def _take_new(self, replica: Replica) -> Item | None:
        ahead = self._num_in_flight + len(self._moved) + self._num_unscored
        item = self._backlog.take(
            replica.index, epoch=replica.epoch, only_wanted=ahead >= self._window
        )
        if item is not None:
            self._num_waiting -= 1
        return item

    def _may_move(self, item: Item, replica: Replica) -> bool:
        if not self._backlog.may_take(item, replica.index):
            return False
        # Back to where it failed rather than to wait for a server that may never return.
        return replica.index not in item.tried or not any(
            other.health is Health.UP and other.index not in item.tried for other in self._replicas
        )

    def _send(self, item: Item, replica: Replica, now: float) -> Send:
        self._num_in_flight += 1
        self._num_sent += 1
        self._sent[self._num_sent] = item
        item.state = State.IN_FLIGHT
        item.replica = replica.index
        replica.sent(item.id)
        if self._backlog.start(item, replica.index, replica.epoch):
            self._warm_ups.append((now + WARM_UP_PATIENCE_S, item))
        assert item.request is not None  # only an ended item has none
        return Send(self._num_sent, item.request, replica.index)
