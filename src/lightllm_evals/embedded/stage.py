"""What surrounds a generation on the simulated backend: statistics, and faults on demand."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from lightllm_evals.embedded.bodies import INTERNAL_ERROR, error_response
from lightllm_evals.embedded.faults import FaultPlan
from lightllm_evals.embedded.simulated import SimulatedEngine
from lightllm_evals.embedded.wire import (
    EVENT_STREAM_HEADERS,
    Connection,
    Exchange,
    HttpRequest,
    HttpResponse,
)
from lightllm_evals.records import Dialect

DEATH_STATUS = 9
"""Exit status of a server that was told to die."""

GARBAGE = b"<html><head><title>502 Bad Gateway</title></head><body>it is not JSON</body></html>"

Answer = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Statistics:
    """What ``GET /_simulated/stats`` tells; described in docs/embedded.md."""

    requests: int = 0
    answered: int = 0
    cancelled: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    first_request_unix_s: float | None = None
    last_request_unix_s: float | None = None
    faults: Counter[str] = field(default_factory=Counter)
    prompts_seen: Counter[str] = field(default_factory=Counter)
    prompts_answered: Counter[str] = field(default_factory=Counter)

    def begin(self, prompt: str) -> None:
        """Counts a request that arrives."""
        now_s = time.time()
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.prompts_seen[prompt] += 1
        self.last_request_unix_s = now_s
        if self.first_request_unix_s is None:
            self.first_request_unix_s = now_s

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


class CutExchange(Exchange):
    """Breaks off in the middle of its answer: half a body, or a stream after its first event."""

    def __init__(self, connection: Connection, request: HttpRequest) -> None:
        super().__init__(connection, request)
        self._num_sent = 0

    def respond(self, response: HttpResponse) -> None:
        """Promises the whole body and sends half of it."""
        half = response.body[: len(response.body) // 2]
        head = f"HTTP/1.1 {response.status} Cut\r\ncontent-length: {len(response.body)}\r\n\r\n"
        self.write_raw(head.encode("latin-1") + half)
        self.cut()

    def send(self, data: bytes) -> None:
        """Sends the first chunk only."""
        self._num_sent += 1
        if self._num_sent == 1:
            super().send(data)
            self.cut()

    def end_stream(self) -> None:
        """Leaves the stream without its end."""
        self.cut()


class Stage:
    """Passes generations on, or lets them fail as planned."""

    def __init__(self, engine: SimulatedEngine, plan: FaultPlan, dialect: Dialect) -> None:
        self.statistics = Statistics()
        self._engine = engine
        self._plan = plan
        self._dialect = dialect
        self._num_counted_answers = 0

    async def run(self, exchange: Exchange, answer: Answer) -> None:
        """Runs one generation request."""
        prompt = self._prompt(exchange.request.body)
        is_counted = self._is_counted(prompt)
        self.statistics.begin(prompt)
        try:
            await self._run(exchange, answer, prompt, is_counted=is_counted)
        except asyncio.CancelledError:
            self.statistics.cancelled += 1
            raise
        finally:
            self.statistics.in_flight -= 1

    async def _run(
        self, exchange: Exchange, answer: Answer, prompt: str, *, is_counted: bool
    ) -> None:
        if self._is_dying():
            # What comes in the last moments finds nobody: a slow host must not give more answers.
            await self._fail(exchange, answer, "hang")
        kind = self._plan.pick(exchange.request.body) if is_counted else ""
        if kind:
            self.statistics.faults[kind] += 1
            await self._fail(exchange, answer, kind)
            return
        await answer(exchange)
        self.statistics.answered += 1
        self.statistics.prompts_answered[prompt] += 1
        if is_counted:
            self._count_down()

    async def _fail(self, exchange: Exchange, answer: Answer, kind: str) -> None:
        if kind == "hang":
            # Ends when the client gives up, which cancels this task.
            await asyncio.get_running_loop().create_future()
        elif kind == "reset":
            exchange.reset()
        elif kind == "cut":
            await answer(exchange.replaced_by(CutExchange))
        elif kind == "garbage":
            exchange.respond(_garbage(exchange.request))
        elif kind == "500":
            exchange.respond(INTERNAL_ERROR)
        else:
            exchange.respond(error_response(self._dialect, int(kind), "Server is busy"))

    def _count_down(self) -> None:
        self._num_counted_answers += 1
        if self._num_counted_answers == self._plan.die_after:
            # After the bytes on their way have left, and like a crash: nothing is tidied up.
            asyncio.get_running_loop().call_later(0.02, os._exit, DEATH_STATUS)

    def _is_dying(self) -> bool:
        die_after = self._plan.die_after
        return die_after is not None and self._num_counted_answers >= die_after

    def _is_counted(self, prompt: str) -> bool:
        if not self._plan.is_for_known_only:
            return True
        return self._engine.answers.find(prompt) is not None

    def _prompt(self, body: bytes) -> str:
        """Returns what a request asks, as the answers file would name it; "" if unreadable."""
        try:
            request = json.loads(body)
            if "messages" in request:
                return str(request["messages"][-1]["content"])
            prompt = request.get("inputs", request.get("prompt", ""))
            if isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
                return self._engine.decode(prompt)
            return str(prompt)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return ""


def _garbage(request: HttpRequest) -> HttpResponse:
    is_stream = request.path == "/generate_stream"
    headers = EVENT_STREAM_HEADERS if is_stream else {"content-type": "text/html"}
    return HttpResponse(status=200, body=GARBAGE, headers=headers)
