"""How long processes were ready to run and had no CPU, from Linux's scheduler statistics.

https://docs.kernel.org/scheduler/sched-stats.html: /proc/PID/schedstat holds the nanoseconds on
a CPU, the nanoseconds waiting for one, and the number of turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """CPU seconds of all threads, and the longest wait of any of them, in seconds."""

    cpu_s: float
    delay_s: float


NOTHING = Usage(0.0, 0.0)


def parse(threads: list[str]) -> Usage:
    """Returns what the ``schedstat`` lines of a process's threads say together."""
    pairs = [(int(a), int(b)) for a, b, *_ in (text.split() for text in threads if text)]
    if not pairs:
        return NOTHING
    return Usage(sum(a for a, _ in pairs) / 1e9, max(b for _, b in pairs) / 1e9)


def usage_of(pid: int) -> Usage:
    """Returns the usage of a process, nothing where the system does not tell."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return parse([_read(t / "schedstat") for t in threads])
    except OSError:
        return NOTHING


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""  # The thread has just ended.


def delay_of(usages: list[Usage], wall_s: float) -> float:
    """Returns for how long others kept these processes, which take turns, from the CPU.

    A program whose own threads fill the CPUs waits for itself: what it used is no delay.
    """
    waited = sum(u.delay_s for u in usages)
    used = sum(u.cpu_s for u in usages)
    return max(0.0, min(waited, wall_s - used))


def children_of(pid: int) -> list[int]:
    """Returns the ids of a single-threaded process's children, none where unknown."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]
