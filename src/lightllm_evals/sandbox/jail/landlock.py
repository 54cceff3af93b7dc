"""Landlock: which files a jailed process may read, list or write.

https://docs.kernel.org/userspace-api/landlock.html
"""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH112

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from . import linux

# ABI 1 and 2 let a file be truncated by opening it read-only.
MINIMUM_ABI = 3

EXECUTE = 1
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
MAKE_CHAR = 1 << 6
MAKE_BLOCK = 1 << 11
IOCTL_DEV = 1 << 15

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP_RIGHTS = 3
_ALL_SCOPES = 3


def abi() -> int:
    """Returns the kernel's Landlock ABI, 0 where there is none."""
    try:
        return linux.call("landlock_create_ruleset", 0, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def _rights(version: int) -> int:
    return sum(rights for since, rights in _RIGHTS_BY_ABI.items() if version >= since)


def _add(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there, or cannot be reached, needs no permission.
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd))
        linux.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def ruleset(
    *,
    readable: Iterable[str],
    listable: Iterable[str],
    writable: Iterable[str],
    devices: Iterable[str],
) -> int:
    """Returns a descriptor of rules that allow this and nothing else.

    Args:
        readable: Files, and folders with all below them.
        listable: Folders whose names may be listed, here and below.
        writable: Folders in which anything but devices may be made.
        devices: Files that may be read and written.

    Raises:
        OSError: The kernel has no Landlock.
    """
    version = abi()
    handled = _rights(version)
    attributes = struct.pack("=QQQ", handled, _TCP_RIGHTS if version >= 4 else 0, _ALL_SCOPES)
    size = 8 if version < 4 else 16 if version < 6 else 24
    fd = linux.call(
        "landlock_create_ruleset", ctypes.create_string_buffer(attributes[:size]), size, 0
    )
    for path in readable:
        _add(fd, path, READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE)
    for path in listable:
        _add(fd, path, READ_DIR)
    for path in writable:
        _add(fd, path, handled & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV))
    for path in devices:
        _add(fd, path, READ_FILE | WRITE_FILE)
    return fd


def restrict(ruleset_fd: int) -> None:
    """Applies the rules to this process for good; needs no_new_privs."""
    linux.call("landlock_restrict_self", ruleset_fd, 0)
