"""A limit on requests a second, shared by the clients of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """A token bucket: requests pass at ``per_second`` on average, ``burst`` at once at most.

    Thread-safe. It never sleeps itself: who asks is told how long to wait, so that the wait
    can be cut short when the run is cancelled.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not per_second > 0:
            raise ValueError(f"a rate must be above 0 requests a second, got {per_second}")
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Takes the next free place and returns the seconds until it comes up."""
        with self._lock:
            now = self._clock()
            gained = (now - self._filled_at) * self._per_second
            self._filled_at = now
            # Below zero it counts the places that are promised already.
            self._tokens = min(self._tokens + gained, self._burst) - 1
            return max(0.0, -self._tokens / self._per_second)
