"""Files that a LightLLM server leaves behind: queue sockets and shared memory.

A server of 2025 leaves some even after a clean stop, and all after SIGKILL. They are named after
the server: ``<nccl_port>_<node_rank>`` in 2025, a random 16-digit hexadecimal id in 2026.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from lightllm_evals.server.ports import is_port_free

# Both places are LightLLM's own choice.
IPC_DIR = Path("/tmp")  # noqa: S108
SHARED_MEMORY_DIR = Path("/dev/shm")  # noqa: S108

_NAME = re.compile(r"zmq mode head: ipc:///tmp/_(?P<name>[0-9a-f]+_\d+)_\s")


def remove_leftovers(
    log_path: Path,
    nccl_port: int | None,
    *,
    ipc_dir: Path = IPC_DIR,
    shared_memory_dir: Path = SHARED_MEMORY_DIR,
) -> list[Path]:
    """Removes, and returns, the files of the ended server that wrote the log.

    Only files of this user, and only of a name that nobody else can have: a random id, or the
    number of our own ``nccl_port`` if no other server holds that port now.
    """
    name = service_name(log_path)
    if name is None or not _is_ours(name, nccl_port):
        return []
    removed = []
    for path in [*_files(ipc_dir, f"_{name}_"), *_files(shared_memory_dir, f"{name}_")]:
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


def service_name(log_path: Path) -> str | None:
    """Returns the name under which the server's log says that it keeps its files, if it does."""
    try:
        with log_path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if found := _NAME.search(line):
                    return found["name"]
    except OSError:
        return None
    return None


def _is_ours(name: str, nccl_port: int | None) -> bool:
    service, _, _ = name.rpartition("_")
    if len(service) == 16:
        return True
    return service == str(nccl_port) and is_port_free(int(service))


def _files(folder: Path, prefix: str) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not path.name.startswith(prefix):
            continue
        with contextlib.suppress(OSError):
            status = path.lstat()
            is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISSOCK(status.st_mode)
            if is_plain and status.st_uid == os.getuid():
                yield path
