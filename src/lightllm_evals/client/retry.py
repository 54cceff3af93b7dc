"""Bounded retries with growing, jittered waits."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar

from lightllm_evals.client.failures import TransientError
from lightllm_evals.errors import RequestError, ServerUnreachableError

T = TypeVar("T")

_BUSY_ADVICE = "; try again when the server has less to do, or with a lower --lightllm-concurrency"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How often to try again, and how long to wait before.

    Attributes:
        retries: Further attempts after the first, >= 0.
        unreachable_retries: As many where no server answered at all, if that is fewer: with
            several replicas the request is better off at another one.
        first_s: Longest wait before the first retry; it doubles with each.
        longest_s: No wait is longer, whatever a server asks for.
    """

    retries: int
    unreachable_retries: int | None = None
    first_s: float = 0.5
    longest_s: float = 30.0

    def retries_after(self, failure: TransientError) -> int:
        """Returns how many further attempts there are, counted from the first of all."""
        # A busy server is there, and its replicas are likely to be as busy.
        is_gone = isinstance(failure.error, ServerUnreachableError) and not failure.is_busy
        if is_gone and self.unreachable_retries is not None:
            return min(self.retries, self.unreachable_retries)
        return self.retries

    def delay_s(self, attempt: int, asked_s: float | None, random_part: float) -> float:
        """Returns the wait after the given attempt.

        Half of it is random, so that clients which failed together do not come back together.

        Args:
            attempt: The attempt that failed, from 1.
            asked_s: What the server's Retry-After asks for, which is the least to wait.
            random_part: Uniform in [0, 1).
        """
        step = min(self.first_s * 2.0 ** min(attempt - 1, 32), self.longest_s)
        jittered = step * (1 + random_part) / 2
        return min(max(jittered, asked_s or 0.0), self.longest_s)


def retrying(
    attempt: Callable[[int], T],
    backoff: Backoff,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    rng: Callable[[], float] = random.random,  # noqa: S311 - jitter is no secret
) -> T:
    """Returns what an attempt returns; called with 1, 2, ... until one is not transient.

    Raises:
        RequestError: Any that an attempt raises, at once; or the last transient one when no
            attempt is left, with the number of attempts and the seconds they took.
    """
    started = clock()
    number = 1
    while True:
        failure = _failure_of(attempt, number)
        if not isinstance(failure, TransientError):
            return failure
        if number > backoff.retries_after(failure):
            raise _exhausted(failure, number, clock() - started) from failure
        delay_s = backoff.delay_s(number, failure.retry_after_s, rng())
        _log.info("attempt %d failed, next in %.2f s: %s", number, delay_s, failure.error)
        sleep(delay_s)
        number += 1


def _failure_of(attempt: Callable[[int], T], number: int) -> T | TransientError:
    # The handler ends before the next attempt, so that errors of two attempts never chain.
    try:
        return attempt(number)
    except TransientError as failure:
        return failure


def _exhausted(failure: TransientError, attempts: int, elapsed_s: float) -> RequestError:
    error = failure.error
    times = "once" if attempts == 1 else f"{attempts} times"
    advice = _BUSY_ADVICE if failure.is_busy else ""
    return type(error)(f"{error} (tried {times} over {elapsed_s:.1f} s){advice}")


def retry_after_s(value: str | None) -> float | None:
    """Returns the seconds that a Retry-After header asks for, None where it is no use.

    Both forms of RFC 9110, section 10.2.3: seconds, and a date.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())
