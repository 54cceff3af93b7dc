"""System-call numbers, pinned, and what the filter says about each call, by interpretation."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from lightllm_evals.sandbox.jail import seccomp, syscalls

_PINNED = {
    "x86_64": {
        "read": 0, "open": 2, "mmap": 9, "ioctl": 16, "socket": 41, "connect": 42, "sendto": 44,
        "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
        "fcntl": 72, "truncate": 76, "chmod": 90, "ptrace": 101, "capset": 126, "pivot_root": 155,
        "prctl": 157, "tkill": 200, "futex": 202, "tgkill": 234, "openat": 257, "unshare": 272,
        "prlimit64": 302, "setns": 308, "process_vm_readv": 310, "seccomp": 317, "getrandom": 318,
        "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
        "openat2": 437, "landlock_create_ruleset": 444, "landlock_add_rule": 445,
        "landlock_restrict_self": 446,
    },
    "aarch64": {
        "fcntl": 25, "ioctl": 29, "pivot_root": 41, "truncate": 45, "fchmodat": 53, "openat": 56,
        "read": 63, "capset": 91, "unshare": 97, "futex": 98, "ptrace": 117, "kill": 129,
        "tkill": 130, "tgkill": 131, "prctl": 167, "socket": 198, "socketpair": 199,
        "connect": 203, "sendto": 206, "clone": 220, "execve": 221, "mmap": 222,
        "prlimit64": 261, "setns": 268, "process_vm_readv": 270, "seccomp": 277,
        "getrandom": 278, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
        "openat2": 437, "landlock_create_ruleset": 444, "landlock_add_rule": 445,
        "landlock_restrict_self": 446,
    },
}  # fmt: skip

_FORBIDDEN_TEXT = """
    fork vfork execve execveat kill tkill ptrace process_vm_readv pidfd_open pidfd_send_signal
    pidfd_getfd io_uring_setup bpf userfaultfd memfd_create socket connect bind truncate chmod
    fchmodat link linkat unshare setns pivot_root seccomp capset openat2
    landlock_create_ruleset
"""

_OWN_PID = 4321
_ALLOWED = "allowed"
_KILLED = "killed"


@pytest.fixture(params=["x86_64", "aarch64"])
def architecture(request: pytest.FixtureRequest) -> syscalls.Architecture:
    return syscalls.BY_MACHINE[request.param]


def _outcome(
    architecture: syscalls.Architecture,
    number: int,
    arguments: tuple[int, ...] = (),
    *,
    audit: int | None = None,
    has_files: bool = True,
) -> str:
    """Runs the filter as the kernel would and returns what it says."""
    memory = {0: number, 4: architecture.audit if audit is None else audit}
    for index, value in enumerate((*arguments, 0, 0, 0)):
        memory[16 + 8 * index] = value & 0xFFFFFFFF
    code = seccomp.program(architecture, _OWN_PID, has_files=has_files)
    accumulator, position = 0, 0
    for _ in range(len(code)):
        instruction = code[position]
        position += 1
        if instruction.code == 0x20:
            accumulator = memory[instruction.value]
        elif instruction.code == 0x54:
            accumulator &= instruction.value
        elif instruction.code == 0x06:
            action = instruction.value & 0x7FFF0000
            if instruction.value == 0x80000000:
                return _KILLED
            return _ALLOWED if action == 0x7FFF0000 else errno.errorcode[instruction.value & 0xFFF]
        else:
            is_true = {
                0x15: accumulator == instruction.value,
                0x35: accumulator >= instruction.value,
                0x45: bool(accumulator & instruction.value),
            }[instruction.code]
            position += instruction.if_true if is_true else instruction.if_false
    raise AssertionError("the filter does not end")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_are_the_kernels(machine: str) -> None:
    numbers = syscalls.BY_MACHINE[machine].numbers
    assert {name: numbers[name] for name in _PINNED[machine]} == _PINNED[machine]
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    ],
)
def test_numbers_agree_with_the_systems_header(machine: str, header: str) -> None:
    path = Path(header)
    if not path.exists():
        pytest.skip(f"{header} is not installed")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
    ours = {n: str(v) for n, v in syscalls.BY_MACHINE[machine].numbers.items()}
    # The generic header names two calls as 32-bit machines do.
    renamed = {"newfstatat": "fstatat"} if machine == "aarch64" else {}
    theirs = {n: defined.get(renamed.get(n, n)) for n in ours}
    known = {n: v for n, v in theirs.items() if v is not None}
    assert len(known) >= 0.95 * len(ours)
    assert {n: ours[n] for n in known} == known


@pytest.mark.parametrize("name", _FORBIDDEN_TEXT.split())
def test_call_is_forbidden(architecture: syscalls.Architecture, name: str) -> None:
    number = architecture.numbers.get(name)
    if number is not None:
        assert _outcome(architecture, number) == "EPERM"


def test_unknown_calls_are_forbidden(architecture: syscalls.Architecture) -> None:
    for number in (386, 447, 460, 999):
        if number not in architecture.numbers.values():
            assert _outcome(architecture, number) == "EPERM"


def test_every_allowed_call_is_allowed(architecture: syscalls.Architecture) -> None:
    for name, number in architecture.numbers.items():
        if name in syscalls.ALLOWED:
            assert _outcome(architecture, number) == _ALLOWED, name


def test_nothing_is_opened_by_name_without_files(architecture: syscalls.Architecture) -> None:
    for name, number in architecture.numbers.items():
        if name in syscalls.OPENS_FILES:
            assert _outcome(architecture, number, has_files=False) == "EPERM", name


def test_another_architecture_is_killed(architecture: syscalls.Architecture) -> None:
    assert _outcome(architecture, architecture.numbers["read"], audit=0x40000003) == _KILLED


def test_x32_calls_do_not_exist() -> None:
    assert _outcome(syscalls.X86_64, 0x40000000 | 1) == "ENOSYS"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (0x003D0F00,), _ALLOWED),  # what pthread_create passes
        ("clone", (0x01200011,), "EPERM"),  # what fork passes
        ("clone", (0x003D0F00 | 0x10000000,), "EPERM"),  # a thread in a new user namespace
        ("clone", (0x00000011,), "EPERM"),
        ("clone3", (), "ENOSYS"),
        ("prlimit64", (0,), _ALLOWED),
        ("prlimit64", (1,), "EPERM"),
        ("socketpair", (1, 1), _ALLOWED),
        ("socketpair", (1, 1 | 0o2000000), _ALLOWED),  # SOCK_CLOEXEC
        ("socketpair", (1, 2), "EPERM"),
        ("socketpair", (1, 5), "EPERM"),
        ("socketpair", (2, 1), "EPERM"),
        ("fcntl", (3, 1030), _ALLOWED),
        ("fcntl", (3, 8), "EPERM"),  # F_SETOWN
        ("fcntl", (3, 10), "EPERM"),  # F_SETSIG
        ("fcntl", (3, 15), "EPERM"),  # F_SETOWN_EX
        ("fcntl", (3, 1024), "EPERM"),  # F_SETLEASE
        ("ioctl", (0, 0x5401), _ALLOWED),
        ("ioctl", (0, 0x5412), "EPERM"),  # TIOCSTI
        ("prctl", (15,), _ALLOWED),
        ("prctl", (22,), "EPERM"),
        ("tgkill", (_OWN_PID, _OWN_PID, 6), _ALLOWED),
        ("tgkill", (1, 1, 9), "EPERM"),
    ],
)
def test_arguments_decide(
    architecture: syscalls.Architecture, name: str, arguments: tuple[int, ...], expected: str
) -> None:
    assert _outcome(architecture, architecture.numbers[name], arguments) == expected


def test_program_fits_the_kernels_limits(architecture: syscalls.Architecture) -> None:
    code = seccomp.program(architecture, _OWN_PID, has_files=True)
    assert len(code) <= 4096
    assert all(0 <= jump <= 255 for i in code for jump in (i.if_true, i.if_false))
    assert len(seccomp.assemble(code)) == 8 * len(code)
