"""The seccomp program: an allow-list of system calls, with checks on the arguments of some.

https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import NamedTuple

from . import linux, syscalls

_LOAD = 0x20
_AND = 0x54
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_OFFSET_NUMBER = 0
_OFFSET_ARCHITECTURE = 4
_OFFSET_ARGUMENTS = 16
_X32_BIT = 0x40000000

_SET_MODE_FILTER = 1
_CLONE_THREAD = 0x10000
_CLONE_NEW_ANY = 0x7E020000

_F_PLAIN = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)  # No owner, signal, lease or pipe size.
_IOCTL_PLAIN = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS FIONREAD FIONBIO FIO[N]CLEX
_PR_NAME = (15, 16)
_AF_UNIX = 1
_SOCK_STREAM = 1
_SOCK_TYPE_MASK = 0xF


class Instruction(NamedTuple):
    """One BPF instruction: jumps are counted from the next one."""

    code: int
    if_true: int
    if_false: int
    value: int


def _load(offset: int) -> Instruction:
    return Instruction(_LOAD, 0, 0, offset)


def _argument(index: int) -> Instruction:
    # The low half: each argument checked here is a 32-bit int to the kernel.
    return _load(_OFFSET_ARGUMENTS + 8 * index)


def _give(value: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, value)


def _fail(number: int) -> Instruction:
    return _give(_ERRNO | number)


def _one_of(values: tuple[int, ...]) -> list[Instruction]:
    """Instructions that go on when the loaded value is one of these, else fail with EPERM."""
    left = len(values)
    jumps = [Instruction(_JUMP_EQUAL, left - i, 0, v) for i, v in enumerate(values)]
    return [*jumps, _fail(errno.EPERM)]


def _only_for(number: int, body: list[Instruction]) -> list[Instruction]:
    """``body``, which must end in a return, for this system call; others skip it."""
    return [Instruction(_JUMP_EQUAL, 0, len(body), number), *body]


def _thread_only() -> list[Instruction]:
    return [
        _argument(0),
        Instruction(_JUMP_ANY_BIT, 1, 0, _CLONE_THREAD),
        _fail(errno.EPERM),
        Instruction(_JUMP_ANY_BIT, 0, 1, _CLONE_NEW_ANY),
        _fail(errno.EPERM),
        _give(_ALLOW),
    ]


def _argument_checks(own_pid: int) -> dict[str, list[Instruction]]:
    """What is allowed only with certain arguments, by the name of the call."""
    allow = _give(_ALLOW)
    return {
        "clone": _thread_only(),
        # Its flags lie in memory, out of a filter's sight; libc falls back to clone.
        "clone3": [_fail(errno.ENOSYS)],
        "prlimit64": [_argument(0), *_one_of((0,)), allow],
        # A datagram half could send to any named socket.
        "socketpair": [
            _argument(0),
            *_one_of((_AF_UNIX,)),
            _argument(1),
            Instruction(_AND, 0, 0, _SOCK_TYPE_MASK),
            *_one_of((_SOCK_STREAM,)),
            allow,
        ],
        "fcntl": [_argument(1), *_one_of(_F_PLAIN), allow],
        "ioctl": [_argument(1), *_one_of(_IOCTL_PLAIN), allow],
        "prctl": [_argument(0), *_one_of(_PR_NAME), allow],
        "tgkill": [_argument(0), *_one_of((own_pid,)), allow],
    }


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """Returns the numbers as runs (first, last), in order."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _allow_run(first: int, last: int) -> list[Instruction]:
    return [
        Instruction(_JUMP_AT_LEAST, 0, 2, first),
        Instruction(_JUMP_AT_LEAST, 1, 0, last + 1),
        _give(_ALLOW),
    ]


def program(
    architecture: syscalls.Architecture, own_pid: int, *, has_files: bool
) -> list[Instruction]:
    """Returns the filter of a process that knows itself as ``own_pid``.

    Without ``has_files`` nothing can be opened by name.
    """
    code = [
        _load(_OFFSET_ARCHITECTURE),
        Instruction(_JUMP_EQUAL, 1, 0, architecture.audit),
        _give(_KILL),
        _load(_OFFSET_NUMBER),
    ]
    if architecture.has_x32:
        code += [Instruction(_JUMP_AT_LEAST, 0, 1, _X32_BIT), _fail(errno.ENOSYS)]
    for name, body in _argument_checks(own_pid).items():
        code += _only_for(architecture.numbers[name], body)
    allowed = syscalls.ALLOWED if has_files else syscalls.ALLOWED - syscalls.OPENS_FILES
    for first, last in _runs({n for name, n in architecture.numbers.items() if name in allowed}):
        code += _allow_run(first, last)
    return [*code, _fail(errno.EPERM)]


def assemble(code: list[Instruction]) -> bytes:
    """Returns the program as the kernel reads it: ``struct sock_filter`` each."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def install(assembled: bytes) -> None:
    """Applies the program to this process for good; needs no_new_privs."""
    buffer = ctypes.create_string_buffer(assembled, len(assembled))
    described = _Program(len(assembled) // 8, ctypes.addressof(buffer))
    linux.call("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(described))
