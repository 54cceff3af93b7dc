"""Small questions to a server at the start of a session, their answers as JSON objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lightllm_evals.client.answers import parse_object
from lightllm_evals.client.failures import (
    TransientError,
    located,
    looks_like_html,
    not_lightllm,
    status_failure,
)
from lightllm_evals.client.retry import Backoff, retry_after_s, retrying
from lightllm_evals.client.transport import Reply, Transport
from lightllm_evals.errors import (
    BadResponseError,
    RequestError,
    RequestTimeoutError,
    ServerUnreachableError,
)

# A first generation may compile kernels; one of a few tokens that takes longer never ends.
GENERATION_TIMEOUT_S = 120.0

_POLL_S = 0.5
_QUICK_TIMEOUT_S = 30.0

# One attempt of /health waits this long even if less is left: a busy machine is no dead server.
_MIN_HEALTH_TIMEOUT_S = 1.0

_BACKOFF = Backoff(retries=4)
_BUSY = frozenset({429, 502, 503, 504})


class Asker:
    """Asks one server, and tries again where it is busy or a connection breaks.

    Args:
        transport: The way to the server.
        clock: Monotonic seconds.
        sleep: Waits between attempts.
        generation_timeout_s: How long a generation of a few tokens may take.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        generation_timeout_s: float = GENERATION_TIMEOUT_S,
    ) -> None:
        self.url = transport.url
        self.generation_timeout_s = generation_timeout_s
        self._transport = transport
        self._clock = clock
        self._sleep = sleep

    def wait_until_healthy(self, wait_s: float) -> None:
        """Returns when ``/health`` says so; one call at a time.

        Raises:
            ServerUnreachableError: It does not within ``wait_s``.
            BadResponseError: Something else than LightLLM answers.
        """
        give_up_at = self._clock() + wait_s
        while (failure := self._health(give_up_at - self._clock())) is not None:
            if self._clock() + _POLL_S > give_up_at:
                raise ServerUnreachableError(
                    f"no healthy LightLLM server at {self.url} within {wait_s:g} s: {failure}; "
                    "start it, or check the URL",
                    "",
                    self.url,
                )
            self._sleep(_POLL_S)

    def get(self, path: str) -> Reply:
        """Returns the answer to a GET, of any status that is not "busy"."""
        return self._ask("GET", path, None, _QUICK_TIMEOUT_S)

    def post(self, path: str, data: Any, timeout_s: float | None = None) -> Reply:
        """Returns the answer to a POST of JSON, of any status that is not "busy".

        Raises:
            RequestTimeoutError: There is none in time.
            ServerUnreachableError: There is no connection, or the server stays busy.
            BadResponseError: The answer is not HTTP, or breaks off.
        """
        return self._ask("POST", path, json.dumps(data).encode(), timeout_s or _QUICK_TIMEOUT_S)

    def read(self, reply: Reply, path: str) -> Mapping[str, Any]:
        """Returns the object in an answer.

        Raises:
            BadResponseError: It has another status than 200, or no object.
        """
        if reply.status != 200:
            raise self.foreign(_failure(reply, path))
        if looks_like_html(reply.content_type, reply.body):
            raise self.foreign(not_lightllm(path, "an HTML page"))
        try:
            return parse_object(reply.body)
        except TransientError as failure:
            raise self.foreign(f"{path}: {failure.error}") from failure

    def foreign(self, error: RequestError | str) -> BadResponseError:
        """Returns the error for a server that is not LightLLM, by what it did."""
        text = str(error)
        if "look like a LightLLM server" not in text:
            text = f"{text}: this does not look like a LightLLM server; check the URL"
        return BadResponseError(f"{self.url}: {text}", "", self.url)

    def _health(self, left_s: float) -> str | None:
        """Returns what is wrong, None if the server is healthy."""
        timeout_s = max(left_s, _MIN_HEALTH_TIMEOUT_S)
        try:
            reply = self._transport.exchange("GET", "/health", timeout_s=timeout_s)
        except RequestTimeoutError as error:
            return str(error)
        except TransientError as failure:
            if isinstance(failure.error, BadResponseError):
                raise self.foreign(failure.error) from failure
            return str(failure.error)
        except RequestError as error:
            raise located(error, "", self.url) from error
        if reply.status in _BUSY:
            return str(_failure(reply, "/health"))
        self.read(reply, "/health")
        return None

    def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Reply:
        def attempt(_: int) -> Reply:
            reply = self._transport.exchange(method, path, body=body, timeout_s=timeout_s)
            if reply.status in _BUSY:
                raise TransientError(
                    _failure(reply, path), retry_after_s(reply.headers.get("Retry-After"))
                )
            return reply

        try:
            return retrying(attempt, _BACKOFF, sleep=self._sleep, clock=self._clock)
        except RequestError as error:
            raise located(error, "", self.url) from error


def _failure(reply: Reply, path: str) -> RequestError:
    failure = status_failure(reply.status, reply.content_type, reply.body, path)
    return failure.error if isinstance(failure, TransientError) else failure
