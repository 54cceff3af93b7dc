"""Which user a zygote runs as: root gives itself up where the interpreter stays readable."""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH116, PTH120

from __future__ import annotations

import os
import stat
import sys

from . import linux

# In no range that a distribution, systemd or a container engine hands out.
UNUSED_ID = 61_000
_PR_SET_DUMPABLE = 4


def can_give_up_root() -> bool:
    """Says whether we are root and a stranger could still read the standard library."""
    if os.geteuid() != 0:
        return False
    return _is_readable_by_all(os.path.realpath(os.__file__)) and _is_readable_by_all(
        os.path.realpath(sys.executable)
    )


def _is_readable_by_all(path: str) -> bool:
    if not os.stat(path).st_mode & stat.S_IROTH:
        return False
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def give_up_root() -> None:
    """Becomes the unused user for good.

    Raises:
        OSError: This root may not change its user (CAP_SETUID or CAP_SETGID is missing).
    """
    os.setgroups([])
    os.setresgid(UNUSED_ID, UNUSED_ID, UNUSED_ID)
    os.setresuid(UNUSED_ID, UNUSED_ID, UNUSED_ID)
    # A change of user made /proc/self root's; the maps of a user namespace are written there.
    linux.prctl(_PR_SET_DUMPABLE, 1)
