"""Requests that wait to be sent, in the order in which each replica should get them.

Requests with one prefix form a group. A server's prefix cache is filled when a request *ends*, so
at each replica the first of a group goes alone (its *warm-up*), and the group is held there until
that one is back. Each replica has a heap of groups and each group one of requests; heads that
changed are corrected when they are met, so every event costs O(log n).
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum, auto

from lightllm_evals.records import Request

# A group whose warm-ups fail (prompts too long, say) must not crawl on one by one.
MAX_WARM_UPS = 3

GroupKey = tuple[int, float, int]
"""(0 if a case waits else 1, place by length, place by arrival); the smallest goes first."""


class State(Enum):
    """Where a request stands."""

    WAITING = auto()
    MOVED = auto()
    IN_FLIGHT = auto()
    DONE = auto()
    ENDED = auto()


class Item:
    """One planned request; it holds the prompt no longer than needed."""

    __slots__ = (
        "group",
        "id",
        "is_wanted",
        "number",
        "place",
        "replica",
        "request",
        "state",
        "tried",
        "warm_up",
    )

    group: Group

    def __init__(self, request: Request, number: int, place: float) -> None:
        self.id = request.id
        self.request: Request | None = request
        self.number = number
        self.place = place
        self.state = State.WAITING
        self.is_wanted = False
        self.replica = -1
        self.tried: tuple[int, ...] = ()
        self.warm_up: Berth | None = None


class Berth:
    """One group at one replica: whether its prefix is warm there, and where it is listed."""

    __slots__ = ("epoch", "is_warm", "listed", "num_warm_ups", "warming")

    def __init__(self) -> None:
        self.listed: GroupKey | None = None
        self.is_warm = False
        self.warming: Item | None = None
        self.num_warm_ups = 0
        self.epoch = 0

    def is_cold(self, epoch: int) -> bool:
        """Whether the next request has to go alone; a new epoch starts cold again."""
        if self.epoch != epoch:
            self.epoch = epoch
            self.is_warm = False
            self.num_warm_ups = 0
        return not self.is_warm


class Group:
    """The requests of one prefix, or all of those without."""

    def __init__(self, number: int, *, has_prefix: bool, num_replicas: int) -> None:
        self.number = number
        self.has_prefix = has_prefix
        self.berths = [Berth() for _ in range(num_replicas)]
        self._queue: list[tuple[float, int, Item]] = []
        self._wanted: deque[Item] = deque()
        self._wanted_numbers: deque[int] = deque()
        self._first: tuple[float, int] | None = None

    def add(self, item: Item) -> None:
        """Takes a request in."""
        place = (item.place, item.number)
        if self._first is None or place < self._first:
            self._first = place
        heapq.heappush(self._queue, (*place, item))

    def want(self, item: Item, number: int) -> None:
        """Puts one of its requests before the others."""
        self._wanted.append(item)
        self._wanted_numbers.append(number)

    def key(self, *, stays_together: bool) -> GroupKey | None:
        """Returns its place among the groups; None if nothing waits.

        Args:
            stays_together: Keep the place of its first request, so that a prefix is used up
                while the server still has it.
        """
        if self._next_wanted() is not None:
            return 0, 0.0, self._wanted_numbers[0]
        head = self._head()
        if head is None:
            return None
        first = self._first if stays_together and self.has_prefix else None
        return (1, *(first or (head.place, head.number)))

    def take(self, *, shortest: bool) -> Item:
        """Removes and returns the next request; ``key`` said that there is one."""
        item = self._next_wanted()
        if item is None and shortest:
            waiting = (entry[2] for entry in self._queue if entry[2].state is State.WAITING)
            item = max(waiting, key=lambda entry: (entry.place, -entry.number))
        if item is None:
            item = heapq.heappop(self._queue)[2]
        return item

    def _head(self) -> Item | None:
        while self._queue and self._queue[0][2].state is not State.WAITING:
            heapq.heappop(self._queue)
        return self._queue[0][2] if self._queue else None

    def _next_wanted(self) -> Item | None:
        while self._wanted and self._wanted[0].state is not State.WAITING:
            self._wanted.popleft()
            self._wanted_numbers.popleft()
        return self._wanted[0] if self._wanted else None


class Backlog:
    """All groups, listed for each replica.

    Args:
        num_replicas: How many servers there are.
        in_order: Keep the order of arrival, even where that mixes prefixes.
        knows_lengths: Places are expected lengths: the shortest makes the quickest warm-up.
    """

    def __init__(self, num_replicas: int, *, in_order: bool, knows_lengths: bool) -> None:
        self._stays_together = not in_order
        self._shortest_warms_up = knows_lengths and not in_order
        self._groups: dict[str, Group] = {}
        self._lanes: list[list[tuple[GroupKey, int, Group]]] = [[] for _ in range(num_replicas)]
        self._num_wants = 0

    def add(self, item: Item, prefix: str) -> None:
        """Takes a new request in."""
        group = self._groups.get(prefix)
        if group is None:
            number = len(self._groups)
            group = Group(number, has_prefix=bool(prefix), num_replicas=len(self._lanes))
            self._groups[prefix] = group
        item.group = group
        group.add(item)
        self._list_everywhere(group)

    def want(self, item: Item) -> None:
        """Puts a waiting request before all others, after those wanted earlier."""
        self._num_wants += 1
        item.group.want(item, self._num_wants)
        self._list_everywhere(item.group)

    def take(self, replica: int, *, epoch: int, only_wanted: bool) -> Item | None:
        """Removes and returns what this replica should get next, None if nothing may go."""
        lane = self._lanes[replica]
        while lane:
            listed, _, group = lane[0]
            berth = group.berths[replica]
            if berth.listed != listed:
                heapq.heappop(lane)
                continue
            key = None if berth.warming else group.key(stays_together=self._stays_together)
            if key is None:
                heapq.heappop(lane)
                berth.listed = None
            elif key != listed:
                berth.listed = key
                heapq.heapreplace(lane, (key, group.number, group))
            elif only_wanted and key[0] > 0:
                return None
            else:
                is_cold = group.has_prefix and berth.is_cold(epoch)
                return group.take(shortest=is_cold and self._shortest_warms_up)
        return None

    @staticmethod
    def may_take(item: Item, replica: int) -> bool:
        """Whether this request is not held at this replica."""
        return item.group.berths[replica].warming is None

    @staticmethod
    def start(item: Item, replica: int, epoch: int) -> bool:
        """Notes that a request goes to a replica; returns whether it is a warm-up there."""
        berth = item.group.berths[replica]
        if not item.group.has_prefix or not berth.is_cold(epoch):
            return False
        berth.warming = item
        berth.num_warm_ups += 1
        item.warm_up = berth
        return True

    def finish(self, item: Item, *, is_success: bool) -> None:
        """Notes that a request is back; ends the hold if it was a warm-up."""
        berth, item.warm_up = item.warm_up, None
        if berth is None or berth.warming is not item:
            return
        berth.warming = None
        berth.is_warm = is_success or berth.num_warm_ups >= MAX_WARM_UPS
        self._list_everywhere(item.group)

    def lose_patience(self, item: Item) -> None:
        """Ends the hold of a warm-up that takes too long."""
        self.finish(item, is_success=True)

    def _list_everywhere(self, group: Group) -> None:
        key = group.key(stays_together=self._stays_together)
        if key is None:
            return
        for lane, berth in zip(self._lanes, group.berths, strict=True):
            if berth.listed is None or key < berth.listed:
                berth.listed = key
                heapq.heappush(lane, (key, group.number, group))
