"""One LightLLM server as a thing that completes requests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial

from lightllm_evals.client.address import base_url
from lightllm_evals.client.asking import GENERATION_TIMEOUT_S, Asker
from lightllm_evals.client.attempt import Attempts
from lightllm_evals.client.failures import TransientError, located
from lightllm_evals.client.likelihoods import LikelihoodAttempts
from lightllm_evals.client.probe import probe
from lightllm_evals.client.rate import RateLimit
from lightllm_evals.client.retry import Backoff, retrying
from lightllm_evals.client.scoring_check import check_scoring
from lightllm_evals.client.transport import Transport
from lightllm_evals.errors import RequestError
from lightllm_evals.records import Completion, Request, ServerInfo


class Client:
    """One replica of a LightLLM server; thread-safe.

    Args:
        url: Its address, as ``base_url`` takes it.
        info: What a probe found out; ``probe`` fills it in, None is tolerant of both dialects.
        request_timeout_s: Hard deadline of each attempt; one that passes is not tried again,
            since a server that hangs once would hang every time.
        retries: Further attempts after one that failed in a way that the next may not.
        unreachable_retries: At most so many where the server did not answer at all; None is no
            other limit. For replicas: another one can take the request.
        stream: Ask for streams, which measures TTFT and TPOT.
        rate: Limit on requests a second, shared with other clients of the process.
        clock: Monotonic seconds, for waits and measured times.
        sleep: Waits between attempts; by default one that ``cancel_all`` cuts short.
        rng: Uniform in [0, 1), for the jitter of waits.

    Attributes:
        url: Base URL without a trailing slash.
        on_busy: Called at each 429 or 503, also those that are tried again.
    """

    def __init__(
        self,
        url: str,
        *,
        info: ServerInfo | None = None,
        request_timeout_s: float = 600.0,
        retries: int = 4,
        unreachable_retries: int | None = None,
        stream: bool = False,
        rate: RateLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        rng: Callable[[], float] = random.random,  # noqa: S311 - jitter is no secret
    ) -> None:
        self.url = base_url(url)
        self._info = info
        self._timeout_s = request_timeout_s
        self._backoff = Backoff(retries=retries, unreachable_retries=unreachable_retries)
        self._is_streaming = stream
        self._rate = rate
        self._clock = clock
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait
        self._rng = rng
        self._transport = Transport(self.url, clock=clock)
        self.on_busy: Callable[[], None] | None = None

    def __repr__(self) -> str:
        state = ", cancelled" if self._cancelled.is_set() else ""
        return f"Client({self.url!r}{state})"

    def complete(self, request: Request) -> Completion:
        """Returns the model's completion of a request, or the likelihoods of its choices.

        Raises:
            ServerUnreachableError: No attempt found a server that answers.
            RequestTimeoutError: The deadline passed.
            BadResponseError: No attempt got a whole answer of a LightLLM server.
            PromptTooLongError: Prompt and max_new_tokens do not fit; says both numbers.
            RequestRejectedError: The server finds the request wrong.
            RequestCancelledError: ``cancel_all`` or ``close`` ended it.
            ConfigError: The request's interface cannot take its form of prompt.
        """
        attempts = self._attempts(request)
        try:
            return retrying(
                partial(self._attempt, attempts),
                self._backoff,
                sleep=self._sleep,
                clock=self._clock,
                rng=self._rng,
            )
        except RequestError as error:
            raise located(error, request.id, self.url) from error

    def probe(self, *, wait_s: float) -> ServerInfo:
        """Returns what a few small requests find out about the server, and keeps to it.

        To be called once, before any other request: the first ``/health`` of an [A] server
        kills its engine when requests are in flight.

        Args:
            wait_s: How long the server may take to be reachable and healthy.

        Raises:
            ServerUnreachableError: It is not, or does not generate.
            BadResponseError: Something else than LightLLM answers.
            RequestCancelledError: ``cancel_all`` or ``close`` ended it.
        """
        self._info = probe(self._asker(), wait_s=wait_s)
        return self._info

    def check_scoring(self) -> None:
        """Makes sure that the server scores given texts rightly; to be called after ``probe``.

        Raises:
            ServerError: It cannot, or does it wrong; says what it has to be started with.
            ServerUnreachableError: It does not answer.
        """
        if self._info is None:
            raise ValueError("probe the server first")
        check_scoring(self._asker(), self._info)

    def cancel_all(self) -> None:
        """Closes the sockets of all requests in flight; they and all later ones fail at once."""
        self._cancelled.set()
        self._transport.cancel_all()

    def close(self) -> None:
        """Cancels everything and closes all connections; to be called once, at the end."""
        self._cancelled.set()
        self._transport.close()

    def _asker(self) -> Asker:
        return Asker(
            self._transport,
            clock=self._clock,
            sleep=self._sleep,
            generation_timeout_s=min(GENERATION_TIMEOUT_S, self._timeout_s),
        )

    def _attempts(self, request: Request) -> Attempts | LikelihoodAttempts:
        if request.choices:
            return LikelihoodAttempts(
                request,
                transport=self._transport,
                info=self._info,
                timeout_s=self._timeout_s,
                clock=self._clock,
                admit=self._admit,
            )
        return Attempts(
            request,
            transport=self._transport,
            info=self._info,
            timeout_s=self._timeout_s,
            stream=self._is_streaming,
            clock=self._clock,
            admit=self._admit,
        )

    def _attempt(self, attempts: Attempts | LikelihoodAttempts, number: int) -> Completion:
        try:
            return attempts.run(number)
        except TransientError as failure:
            if failure.is_busy and self.on_busy is not None:
                self.on_busy()
            raise

    def _admit(self) -> None:
        if self._rate is not None and (wait_s := self._rate.reserve()) > 0:
            self._sleep(wait_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
