from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightllm_evals.errors import HarnessError, RequestCancelledError, ServerUnreachableError
from lightllm_evals.records import Completion, Request, SamplingParams
from lightllm_evals.runner import Generation, Outcome

DEADLINE_S = 60.0


class FakeReplica:
    """A transport that answers when a test says so, or at once."""

    def __init__(self, url: str = "http://replica", *, is_automatic: bool = False) -> None:
        self.url = url
        self.on_busy: Callable[[], None] | None = None
        self.is_automatic = is_automatic
        self.error_for: Callable[[Request], Exception | None] = lambda request: None
        self.asked: list[str] = []
        self.max_at_once = 0
        self.num_cancels = 0
        self._waiting: dict[str, Outcome | None] = {}
        self._changed = threading.Condition()

    def complete(self, request: Request) -> Completion:
        with self._changed:
            self.asked.append(request.id)
            self._waiting[request.id] = None
            self.max_at_once = max(self.max_at_once, len(self._waiting))
            self._changed.notify_all()
            if not self.is_automatic:
                self._changed.wait_for(lambda: self._waiting[request.id], timeout=DEADLINE_S)
            outcome = self._waiting.pop(request.id)
        error = self.error_for(request) if outcome is None else outcome
        if isinstance(error, Exception):
            raise error
        return completion_of(request.id, self.url)

    def cancel_all(self) -> None:
        with self._changed:
            self.num_cancels += 1
            for request_id in self._waiting:
                self._answer(request_id, RequestCancelledError("closed", request_id, self.url))

    def reply(self, request_id: str, error: HarnessError | None = None) -> None:
        """Answers a request, as soon as it is here."""
        with self._changed:
            self._wait_until(lambda: request_id in self._waiting)
            self._answer(request_id, error or completion_of(request_id, self.url))

    def wait_for(self, *ids: str) -> None:
        """Waits until all of these are in flight here."""
        with self._changed:
            self._wait_until(lambda: set(ids) <= set(self._waiting))

    def break_connections(self) -> None:
        """Makes everything in flight and all that comes fail to connect."""
        with self._changed:
            self.error_for = lambda request: unreachable(request.id, self.url)
            self.is_automatic = True
            for request_id in self._waiting:
                self._answer(request_id, unreachable(request_id, self.url))

    def _answer(self, request_id: str, outcome: Outcome) -> None:
        self._waiting[request_id] = self._waiting[request_id] or outcome
        self._changed.notify_all()

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        assert self._changed.wait_for(condition, timeout=DEADLINE_S), self._waiting


class Results:
    """Collects what the engine hands on; a test waits until all is there."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.counts: Counter[str] = Counter()
        self.then: Callable[[str], None] = lambda request_id: None
        self._changed = threading.Condition()

    def __call__(self, request_id: str, outcome: Outcome) -> None:
        with self._changed:
            self.outcomes[request_id] = outcome
            self.counts[request_id] += 1
            self._changed.notify_all()
        self.then(request_id)

    def wait_for(self, *ids: str) -> None:
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: all(i in self.outcomes for i in ids), timeout=DEADLINE_S
            )
        assert is_there, self.counts

    def errors(self) -> dict[str, HarnessError]:
        return {i: o for i, o in self.outcomes.items() if isinstance(o, HarnessError)}


def completion_of(request_id: str, url: str) -> Completion:
    return Completion(
        text=f"answer to {request_id}",
        finish_reason="stop",
        prompt_tokens=3,
        output_tokens=10,
        latency_s=0.1,
        server=url,
    )


def unreachable(request_id: str, url: str) -> ServerUnreachableError:
    return ServerUnreachableError("connection refused", request_id, url)


@pytest.fixture
def requests_of() -> Callable[..., list[Request]]:
    """Makes one request for each id."""

    def make(*ids: str, prefix: str = "") -> list[Request]:
        params = SamplingParams(max_new_tokens=8)
        return [Request(id=i, params=params, prompt=f"prompt {i}", prefix=prefix) for i in ids]

    return make


@pytest.fixture
def new_replica() -> type[FakeReplica]:
    """Makes a server that answers when it is told to."""
    return FakeReplica


@pytest.fixture
def results() -> Results:
    """What the engine of ``new_generation`` hands on."""
    return Results()


@pytest.fixture
def new_generation(results: Results) -> Iterator[Callable[..., Generation]]:
    """Makes an engine; it is stopped after the test, and must leave no thread behind."""
    before = set(threading.enumerate())
    made: list[Generation] = []

    def make(*replicas: FakeReplica, concurrency: int = 4, **options: Any) -> Generation:
        generation = Generation(replicas, concurrency=concurrency, on_result=results, **options)
        made.append(generation)
        return generation

    yield make
    for generation in made:
        generation.stop("the test is over")
    assert set(threading.enumerate()) <= before
