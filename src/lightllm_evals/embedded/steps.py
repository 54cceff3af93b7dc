"""A timing model of continuous batching: all running completions get a token each step.

One step takes ``step_ms``, plus ``prefill_ms_per_token`` for every prompt token of those that
join with it. Requests join between steps, first come first served, up to the number of slots.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take; all zero is an instant model."""

    step_ms: float = 0.0
    prefill_ms_per_token: float = 0.0

    @property
    def is_instant(self) -> bool:
        """Whether nothing takes any time."""
        return self.step_ms == 0 and self.prefill_ms_per_token == 0


@dataclass(slots=True, kw_only=True)
class _Run:
    num_prompt: int
    num_steps: int
    on_step: Callable[[int], None] | None
    done: asyncio.Future[None]
    position: int = field(default=0)


class StepLoop:
    """Runs the steps; idle when nothing runs."""

    def __init__(self, timing: Timing, num_slots: int) -> None:
        self._timing = timing
        self._num_slots = num_slots
        self._waiting: deque[_Run] = deque()
        self._running: list[_Run] = []
        self._timer: asyncio.TimerHandle | None = None
        self._step_ends_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    async def run(
        self, num_prompt: int, num_steps: int, on_step: Callable[[int], None] | None = None
    ) -> None:
        """Returns after ``num_steps`` steps; ``on_step`` is told each position as it is made."""
        loop = asyncio.get_running_loop()
        run = _Run(
            num_prompt=num_prompt, num_steps=num_steps, on_step=on_step, done=loop.create_future()
        )
        self._waiting.append(run)
        if self._timer is None:
            self._step_ends_s = loop.time()
            self._begin_step(loop)
        try:
            await run.done
        finally:
            self._forget(run)

    def _forget(self, run: _Run) -> None:
        """Frees the slot of a request whose client is gone."""
        if run in self._running:
            self._running.remove(run)
        elif run in self._waiting:
            self._waiting.remove(run)

    def _begin_step(self, loop: asyncio.AbstractEventLoop) -> None:
        duration_ms = self._timing.step_ms
        while self._waiting and len(self._running) < self._num_slots:
            run = self._waiting.popleft()
            duration_ms += self._timing.prefill_ms_per_token * run.num_prompt
            self._running.append(run)
        if not self._running:
            self._timer = None
            return
        # From the end of the last step and not from now: lateness must not add up.
        self._step_ends_s += duration_ms / 1000
        self._timer = loop.call_at(self._step_ends_s, self._end_step, loop)

    def _end_step(self, loop: asyncio.AbstractEventLoop) -> None:
        still_running: list[_Run] = []
        for run in self._running:
            if run.on_step is not None:
                run.on_step(run.position)
            run.position += 1
            if run.position < run.num_steps:
                still_running.append(run)
            elif not run.done.done():
                run.done.set_result(None)
        self._running = still_running
        self._begin_step(loop)
