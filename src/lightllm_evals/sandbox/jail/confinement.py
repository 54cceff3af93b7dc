"""Finds the strongest level that this host offers, and applies it to a child."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import NamedTuple

from . import identity, landlock, limits, linux, namespaces, paths, scratch, seccomp, syscalls

_GET_ACTION_AVAILABLE = 2
_RETURN_ERRNO = 0x00050000
_ENTERED = "entered"


class Confinement(NamedTuple):
    """How the children of this zygote are confined.

    Attributes:
        level: 0 to 3.
        scratch: The folder they may write to, "" for none.
        ruleset: Descriptor of the Landlock rules, -1 for none.
        pid_namespace: Descriptor of the zygote's own pid namespace, -1 for none.
        refused: Why each higher level was refused, by level.
    """

    level: int
    scratch: str
    ruleset: int
    pid_namespace: int
    refused: dict[int, str]


class Wanted(NamedTuple):
    """What the parent asked for."""

    max_level: int
    scratch_mb: int
    scratch_parent: str


def establish(wanted: Wanted, after_fork: Callable[[], None]) -> Confinement:
    """Returns the strongest confinement; this may go on in a descendant of the caller.

    Args:
        wanted: The limits of the search.
        after_fork: Called in the process that stays behind as a mere guardian, to close what
            it must not hold open.
    """
    refused = _refused_by_kernel(wanted.max_level)
    if wanted.max_level >= 3 and 3 not in refused:
        try:
            own = _enter_namespaces(wanted, after_fork)
        except OSError as error:
            refused[3] = f"namespaces cannot be entered: {error}"
        else:
            # Each child is process 1 of its namespace, so they all use one filter.
            _filter(1, has_files=True)
            return _confined(3, namespaces.SCRATCH, own, refused)
    level = max(n for n in range(min(wanted.max_level, 2) + 1) if n not in refused)
    return _without_namespaces(level, wanted, refused)


def _refused_by_kernel(max_level: int) -> dict[int, str]:
    refused: dict[int, str] = {}
    if not _has_seccomp():
        reason = "the kernel or this processor offers no seccomp filters"
        return dict.fromkeys(range(1, max_level + 1), reason)
    version = landlock.abi()
    if version < landlock.MINIMUM_ABI:
        reason = f"Landlock ABI {landlock.MINIMUM_ABI} is needed, the kernel offers {version}"
        refused = dict.fromkeys(range(2, max_level + 1), reason)
    return refused


def _has_seccomp() -> bool:
    if syscalls.here() is None:
        return False
    action = ctypes.c_uint32(_RETURN_ERRNO)
    try:
        linux.call("seccomp", _GET_ACTION_AVAILABLE, 0, ctypes.byref(action))
    except OSError:
        return False
    return True


def _enter_namespaces(wanted: Wanted, after_fork: Callable[[], None]) -> int:
    """Returns in process 1 of new namespaces, with a descriptor of its pid namespace.

    Raises:
        OSError: The host does not allow it; raised in the process that called.
    """
    if identity.can_give_up_root():
        try:
            return _enter_in_child(wanted, after_fork, is_nobody=True)
        except OSError:
            # Some hosts grant to root only what is asked here.
            return _enter_in_child(wanted, after_fork, is_nobody=False)
    return _enter_in_child(wanted, after_fork, is_nobody=False)


def _enter_in_child(wanted: Wanted, after_fork: Callable[[], None], *, is_nobody: bool) -> int:
    """Enters in a child, because a process that got half-way could not go back.

    Some hosts grant a user namespace and then none of the rights in it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        return _enter_or_tell(wanted, after_fork, writer, is_nobody=is_nobody)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer:
        reason = answer.read()
    if reason != _ENTERED:
        os.waitpid(child, 0)
        raise OSError(reason or "the attempt ended without a word")
    after_fork()
    os.waitpid(child, 0)
    os._exit(0)


def _enter_or_tell(
    wanted: Wanted, after_fork: Callable[[], None], writer: int, *, is_nobody: bool
) -> int:
    try:
        if is_nobody:
            identity.give_up_root()
        namespaces.enter()
        inner = os.fork()
        if inner:
            os.close(writer)
            after_fork()
            os.waitpid(inner, 0)
            os._exit(0)
        namespaces.die_with_parent()
        own = namespaces.own_pid_namespace()
        namespaces.build_root(wanted.scratch_mb)
    except OSError as error:
        os.write(writer, str(error.strerror or error).encode())
        os._exit(0)
    os.write(writer, _ENTERED.encode())
    os.close(writer)
    return own


def _without_namespaces(level: int, wanted: Wanted, refused: dict[int, str]) -> Confinement:
    if identity.can_give_up_root():
        try:
            identity.give_up_root()
        except OSError as error:
            refused[-1] = f"stays root: {error.strerror}"
    folder = scratch.create(wanted.scratch_parent)
    os.chdir(folder or "/")
    if level >= 1:
        linux.drop_capabilities()
    return _confined(level, folder, -1, refused)


def _confined(level: int, folder: str, pid_namespace: int, refused: dict[int, str]) -> Confinement:
    ruleset = -1
    if level >= 2:
        ruleset = landlock.ruleset(
            readable=[*paths.stdlib_entries(), *paths.library_entries()],
            listable=paths.stdlib_folders(),
            writable=[folder] if folder else [],
            devices=paths.DEVICES,
        )
    return Confinement(level, folder, ruleset, pid_namespace, refused)


def confine(confinement: Confinement, allowed: limits.Limits, ruleset_fd: int) -> None:
    """Confines this process for good, to the level that was established."""
    limits.apply(allowed)
    if confinement.level == 0:
        return
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if ruleset_fd >= 0:
        landlock.restrict(ruleset_fd)
        os.close(ruleset_fd)
    if confinement.level >= 3:
        linux.drop_capabilities()
    seccomp.install(_filter(os.getpid(), has_files=confinement.level >= 2))


@functools.lru_cache(maxsize=1)
def _filter(own_pid: int, *, has_files: bool) -> bytes:
    architecture = syscalls.here()
    if architecture is None:
        raise OSError("no system-call table")
    return seccomp.assemble(seccomp.program(architecture, own_pid, has_files=has_files))
