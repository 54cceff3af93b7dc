"""Resource limits of one jailed process."""

from __future__ import annotations

import resource
from typing import NamedTuple

MIB = 1 << 20

FILE_MIB = 16
OPEN_FILES = 64
# Deep recursion in C code is legitimate; 8 MiB would end it early.
STACK_MIB = 64


class Limits(NamedTuple):
    """What one process may use.

    Attributes:
        memory_mb: Address space in MiB; with no children this is the total.
        cpu_s: CPU seconds, of all its threads together.
    """

    memory_mb: int
    cpu_s: int


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def apply(limits: Limits) -> None:
    """Limits this process for good: soft and hard alike, so that SIGXCPU cannot be caught."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, FILE_MIB * MIB)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CPU, limits.cpu_s)
    _lower(resource.RLIMIT_MEMLOCK, 0)
    # macOS has no such limits, or refuses them.
    for name, value in (
        ("RLIMIT_STACK", STACK_MIB * MIB),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_AS", limits.memory_mb * MIB),
    ):
        kind = getattr(resource, name, None)
        if kind is not None:
            try:
                _lower(kind, value)
            except (OSError, ValueError):
                continue
