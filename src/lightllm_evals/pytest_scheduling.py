"""An xdist scheduler that runs a case once its completion has arrived.

xdist's own ``load`` scheduling hands out cases before anything is known about them: a worker
would sit and wait for one slow completion while others are here already. The controller owns
all completions, so it hands out what can be judged at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from xdist.scheduler import LoadScheduling

# A worker starts a case when it has the next one, and a long queue would be unfair at the end.
_MAX_PENDING = 4


class CompletionScheduling(LoadScheduling):  # type: ignore[misc]  # xdist ships no types
    """Load scheduling, until ``activate`` tells it that there are completions to wait for."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.collection: list[str] | None = None
        # Completions arrive on the engine's threads, everything else on the main thread.
        self._lock = threading.RLock()
        self._is_ready: Callable[[str], bool] | None = None
        self._deliver: Callable[[Any, str], None] = lambda node, nodeid: None
        self._index: dict[str, int] = {}
        self._waiting: set[int] = set()
        self._ready: deque[int] = deque()

    def __repr__(self) -> str:
        pending = {node.gateway.id: len(of_node) for node, of_node in self.node2pending.items()}
        return (
            f"<CompletionScheduling waiting={len(self._waiting)} ready={len(self._ready)} "
            f"pending={pending}>"
        )

    def activate(
        self, is_ready: Callable[[str], bool], deliver: Callable[[Any, str], None]
    ) -> None:
        """Makes cases wait for their completions.

        Args:
            is_ready: Whether a node id can run: its completion is here, or it needs none.
            deliver: Sends a node id's completion to a worker; called before the case is.
        """
        with self._lock:
            self._is_ready, self._deliver = is_ready, deliver

    def completion_arrived(self, nodeid: str) -> None:
        """Takes note that a case can run now; any thread may call it."""
        with self._lock:
            index = self._index.get(nodeid)
            if index in self._waiting:
                self._waiting.discard(index)
                self._ready.append(index)
                self._feed()

    def plan_arrived(self) -> None:
        """Takes note that it is known now which tests need no completion; from any thread."""
        with self._lock:
            if self.collection is None or self._is_ready is None:
                return
            for index in sorted(self._waiting):
                if self._is_ready(self.collection[index]):
                    self._waiting.discard(index)
                    self._ready.append(index)
            self._feed()

    @property
    def tests_finished(self) -> bool:
        """Whether every case has been handed out and at most the last one a worker is left."""
        with self._lock:
            return super().tests_finished and not self._waiting and not self._ready

    @property
    def has_pending(self) -> bool:
        """Whether any case has not been finished."""
        with self._lock:
            return bool(super().has_pending or self._waiting or self._ready)

    def schedule(self) -> None:
        """Starts handing out cases; called again when a worker was replaced."""
        if self._is_ready is None:
            super().schedule()
            return
        with self._lock:
            if self.collection is None:
                if not self._check_nodes_have_same_collection():
                    return
                self._begin(next(iter(self.node2collection.values())), self._is_ready)
            self._feed()

    def _begin(self, collection: list[str], is_ready: Callable[[str], bool]) -> None:
        self.collection = collection
        self._index = {nodeid: index for index, nodeid in enumerate(collection)}
        for index, nodeid in enumerate(collection):
            if is_ready(nodeid):
                self._ready.append(index)
            else:
                self._waiting.add(index)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Takes a finished case off its worker's list and hands out the next."""
        if self._is_ready is None:
            super().mark_test_complete(node, item_index, duration)
            return
        with self._lock:
            self.node2pending[node].remove(item_index)
            self._feed()

    def mark_test_pending(self, item: str) -> None:
        """Hands a case out again, before all others."""
        if self._is_ready is None:
            super().mark_test_pending(item)
            return
        with self._lock:
            self._ready.appendleft(self._index[item])
            self._feed()

    def remove_node(self, node: Any) -> str | None:
        """Returns the case that a dead worker was running; its others are handed out again."""
        if self._is_ready is None:
            removed: str | None = super().remove_node(node)
            return removed
        with self._lock:
            pending = self.node2pending.pop(node)
            if not pending or self.collection is None:
                return None
            self._ready.extendleft(reversed(pending[1:]))
            self._feed()
            return str(self.collection[pending[0]])

    def _feed(self) -> None:
        nodes = [node for node in self.nodes if not node.shutting_down]
        shares: dict[Any, list[int]] = {}
        while self._ready and (node := self._next_node(nodes)):
            index = self._ready.popleft()
            self.node2pending[node].append(index)
            shares.setdefault(node, []).append(index)
        for node, indices in shares.items():
            assert self.collection is not None
            for index in indices:
                self._deliver(node, self.collection[index])
            # A worker that just died keeps its list: xdist will say so and remove the node.
            with suppress(OSError):
                node.send_runtest_some(indices)
        if not self._ready and not self._waiting:
            for node in nodes:
                node.shutdown()

    def _next_node(self, nodes: list[Any]) -> Any | None:
        # First who sits on one case: a worker runs it only when it gets the next.
        def rank(node: Any) -> tuple[bool, int]:
            load = len(self.node2pending[node])
            return (load != 1, load)

        best = min(nodes, key=rank, default=None)
        if best is None or len(self.node2pending[best]) >= _MAX_PENDING:
            return None
        return best
