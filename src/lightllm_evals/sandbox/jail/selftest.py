"""Tries, inside a real jailed child, what the level promises to stop."""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH108, PTH110, PTH120

# ruff: noqa: SIM905  # one word a line would be pages

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from . import frames

RESULT_FD = 10

_OWN_ENVIRONMENT = frozenset(
    "PATH LANG LC_ALL LC_CTYPE MALLOC_ARENA_MAX OMP_NUM_THREADS OPENBLAS_NUM_THREADS "
    "PYTHONHASHSEED PYTHONSAFEPATH PYTHONUTF8 __CF_USER_TEXT_ENCODING".split()
)


def main() -> None:
    """Sends the names of the attempts that worked, and what the child sees of its host."""
    worked = [name for name, attempt in _ATTEMPTS.items() if _works(attempt)]
    sees = {"pid": os.getpid(), "proc": os.path.exists("/proc/self/status")}
    frames.send(RESULT_FD, {"worked": worked, **sees})


def _works(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError:
        return False


def _read_outside() -> bool:
    for path in ("/etc/passwd", __file__):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
        return True
    return False


def _write_outside() -> bool:
    for folder in ("/var/tmp", "/dev/shm", "/", os.path.dirname(__file__), "/home"):  # noqa: S108
        path = f"{folder}/lightllm-sandbox-selftest-{os.getpid()}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            continue
        os.unlink(path)
        return True
    return False


def _open_socket() -> bool:
    for family in (socket.AF_INET, socket.AF_UNIX):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                socket.socket(family, kind).close()
            except OSError:
                continue
            return True
    return False


def _fork() -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def _signal_parent() -> bool:
    # Signal 0 asks for the permission only. In a pid namespace the parent is not even visible.
    os.kill(os.getppid() or os.getpid(), 0)
    return True


def _read_environment() -> bool:
    return not set(os.environ) <= _OWN_ENVIRONMENT


_ATTEMPTS: dict[str, Callable[[], bool]] = {
    "read a file outside": _read_outside,
    "write a file outside": _write_outside,
    "open a socket": _open_socket,
    "fork": _fork,
    "signal the parent": _signal_parent,
    "read the environment": _read_environment,
}
