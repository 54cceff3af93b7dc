"""Threads: a crew that does jobs, grown on demand, and an alarm that rings at set times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Crew(Generic[Job]):
    """Daemon threads that take jobs from one queue; there is never a job without a thread.

    Args:
        perform: Does a job and may return the next one for the same thread, which saves the
            hand-over to another.
        name: What the threads are called, with a number behind it.
    """

    def __init__(self, perform: Callable[[Job], Job | None], *, name: str) -> None:
        self._perform = perform
        self._name = name
        # A SimpleQueue wakes one thread a job, and does so in C.
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._num_free = 0
        self._is_closed = False

    @property
    def num_threads(self) -> int:
        """How many threads were started."""
        return len(self._threads)

    def submit(self, job: Job) -> None:
        """Has a job done by a free thread, or by a new one; ignored after ``close``."""
        with self._lock:
            if self._is_closed:
                return
            if self._num_free:
                self._num_free -= 1
                self._jobs.put(job)
                return
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, args=(job,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Lets every thread end after the job it has; returns at once."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Waits for the other threads of the crew; returns whether all have ended."""
        return _join(self._threads, timeout_s)

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job = self._perform(job)
            if job is None:
                with self._lock:
                    self._num_free += 1
                job = self._jobs.get()


class Alarm:
    """A thread that calls ``ring`` once the earliest of the times set has come.

    Args:
        ring: Called without any lock held; it sets the next time itself.
        clock: Seconds, as the times set.
        name: What the thread is called; it starts when a time is set first.
    """

    def __init__(self, ring: Callable[[], None], *, clock: Callable[[], float], name: str) -> None:
        self._ring = ring
        self._clock = clock
        self._name = name
        self._changed = threading.Condition()
        self._due: float | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def set(self, due: float | None) -> None:
        """Rings at ``due``, or earlier if it was set to an earlier time before."""
        if due is None:
            return
        with self._changed:
            if self._is_closed or (self._due is not None and self._due <= due):
                return
            self._due = due
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._wait, name=self._name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Lets the thread end; returns at once."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread, if there is one; returns whether it has ended."""
        return _join([self._thread] if self._thread else [], timeout_s)

    def _wait(self) -> None:
        while self._is_next_due():
            self._ring()

    def _is_next_due(self) -> bool:
        with self._changed:
            while not self._is_closed:
                left_s = None if self._due is None else self._due - self._clock()
                if left_s is not None and left_s <= 0:
                    self._due = None
                    return True
                self._changed.wait(left_s)
            return False


def _join(threads: list[threading.Thread], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    # A callback of one of the threads may be the one that waits here.
    others = [thread for thread in threads if thread is not threading.current_thread()]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in others)
