"""The one folder that a jailed program may write to, emptied after every sample."""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH101, PTH104, PTH106, PTH108, PTH118, PTH208

from __future__ import annotations

import os
import shutil
import stat
import tempfile

MAX_ENTRIES = 2048


def create(preferred: str) -> str:
    """Returns a new empty folder of ours, "" where nothing is writable (read-only systems)."""
    for parent in (preferred, "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108  # mkdtemp is safe
        try:
            return tempfile.mkdtemp(prefix="lightllm-sandbox-", dir=parent)
        except OSError:
            continue
    return ""


def remove(folder: str) -> None:
    """Removes the folder with all that is in it."""
    if folder:
        empty(folder)
        shutil.rmtree(folder, ignore_errors=True)


def empty(folder: str) -> None:
    """Removes all that is in the folder.

    Works level by level, moving nested folders up first: a program can nest them deeper than
    any path can be long, and without permission to enter.
    """
    count = 0
    prefix = f".removing-{os.urandom(6).hex()}-"
    waiting = _names(folder)
    while waiting:
        path = os.path.join(folder, waiting.pop())
        if not _is_folder(path):
            os.unlink(path)
            continue
        os.chmod(path, 0o700)
        for name in _names(path):
            count += 1
            moved = f"{prefix}{count}"
            child = os.path.join(path, name)
            if _is_folder(child):
                # A folder without write permission cannot be moved: its ".." would change.
                os.chmod(child, 0o700)
            os.rename(child, os.path.join(folder, moved))
            waiting.append(moved)
        os.rmdir(path)


def _names(folder: str) -> list[str]:
    return os.listdir(folder)


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def is_over_quota(folder: str, max_bytes: int) -> bool:
    """Says whether the folder holds more than it may, at any depth."""
    entries = used = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entries > MAX_ENTRIES or used > max_bytes:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # Removed or closed to us meanwhile; what counts is what we can see.
    return False
