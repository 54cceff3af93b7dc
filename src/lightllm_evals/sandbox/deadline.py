"""A wall-clock budget that does not count the time spent waiting for a CPU."""

from __future__ import annotations

from collections.abc import Callable

HARD_CAP = 4.0
# A correction smaller than this is not worth another wait.
_LEAST_WAIT_S = 0.01


class Deadline:
    """Says how long to wait yet; asks for the delay only when the plain budget is used up.

    Args:
        budget_s: What a program gets on an idle machine.
        clock: Monotonic seconds.
        delay: Seconds that the program was ready and waited for a CPU so far.
    """

    def __init__(
        self, budget_s: float, clock: Callable[[], float], delay: Callable[[], float]
    ) -> None:
        self._budget_s = budget_s
        self._clock = clock
        self._delay = delay
        self._started_s = clock()
        self._credit_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds since the start."""
        return self._clock() - self._started_s

    def remaining_s(self) -> float:
        """Returns how long to wait before asking again, 0.0 once the budget is used up."""
        left = self._budget_s + self._credit_s - self.elapsed_s
        if left > 0:
            return left
        self._credit_s = min(self._delay(), (HARD_CAP - 1) * self._budget_s)
        left = self._budget_s + self._credit_s - self.elapsed_s
        return left if left > _LEAST_WAIT_S else 0.0
