"""System-call numbers by architecture, and which of them a jailed program may use.

Numbers: https://github.com/torvalds/linux/blob/master/arch/x86/entry/syscalls/syscall_64.tbl and
https://github.com/torvalds/linux/blob/master/include/uapi/asm-generic/unistd.h (aarch64).
"""

# ruff: noqa: SIM905  # one word a line would be pages

from __future__ import annotations

import platform
from typing import NamedTuple


class Architecture(NamedTuple):
    """One processor's view of the kernel.

    Attributes:
        audit: The value that seccomp reports as ``arch`` (linux/audit.h).
        numbers: System-call numbers by name.
        has_x32: A second ABI shares the table, marked by bit 30 of the number.
    """

    audit: int
    numbers: dict[str, int]
    has_x32: bool


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


X86_64 = Architecture(
    audit=0xC000003E,
    has_x32=True,
    numbers=_table("""
    read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10
    munmap 11 brk 12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17
    pwrite64 18 readv 19 writev 20 access 21 pipe 22 select 23 sched_yield 24 mremap 25 msync 26
    mincore 27 madvise 28 dup 32 dup2 33 pause 34 nanosleep 35 getitimer 36 alarm 37 setitimer 38
    getpid 39 sendfile 40 socket 41 connect 42 sendto 44 recvfrom 45 sendmsg 46 recvmsg 47
    shutdown 48 bind 49 getsockname 51 getpeername 52 socketpair 53 setsockopt 54 getsockopt 55
    clone 56 fork 57 vfork 58 execve 59 exit 60 wait4 61 kill 62 uname 63 fcntl 72 flock 73
    fsync 74 fdatasync 75 truncate 76 ftruncate 77 getdents 78 getcwd 79 chdir 80 fchdir 81
    rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 symlink 88 readlink 89 chmod 90
    umask 95 gettimeofday 96 getrlimit 97 getrusage 98 sysinfo 99 times 100 ptrace 101 getuid 102
    getgid 104 geteuid 107 getegid 108 getppid 110 getpgrp 111 getgroups 115 getresuid 118
    getresgid 120 getpgid 121 getsid 124 capget 125 capset 126 sigaltstack 131 sched_getparam 143
    sched_getscheduler 145 sched_get_priority_max 146 sched_get_priority_min 147 pivot_root 155
    prctl 157 gettid 186 tkill 200 time 201 futex 202 sched_getaffinity 204 epoll_create 213
    getdents64 217 set_tid_address 218 restart_syscall 219 fadvise64 221 clock_gettime 228
    clock_getres 229 clock_nanosleep 230 exit_group 231 epoll_wait 232 epoll_ctl 233 tgkill 234
    waitid 247 openat 257 mkdirat 258 newfstatat 262 unlinkat 263 renameat 264 symlinkat 266
    readlinkat 267 fchmodat 268 faccessat 269 pselect6 270 ppoll 271 unshare 272
    set_robust_list 273 get_robust_list 274 epoll_pwait 281 eventfd2 290 epoll_create1 291
    dup3 292 pipe2 293 preadv 295 pwritev 296 prlimit64 302 setns 308 process_vm_readv 310
    renameat2 316 seccomp 317 getrandom 318 memfd_create 319 bpf 321 execveat 322 userfaultfd 323
    membarrier 324 copy_file_range 326 statx 332 rseq 334 pidfd_send_signal 424
    io_uring_setup 425 pidfd_open 434 clone3 435 close_range 436 openat2 437 pidfd_getfd 438
    faccessat2 439 epoll_pwait2 441 landlock_create_ruleset 444 landlock_add_rule 445
    landlock_restrict_self 446
    """),
)

AARCH64 = Architecture(
    audit=0xC00000B7,
    has_x32=False,
    numbers=_table("""
    getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 fcntl 25
    ioctl 29 flock 32 mkdirat 34 unlinkat 35 symlinkat 36 linkat 37 renameat 38 pivot_root 41
    truncate 45 ftruncate 46 faccessat 48 chdir 49 fchdir 50 fchmodat 53 openat 56 close 57
    pipe2 59 getdents64 61 lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pwrite64 68
    preadv 69 pwritev 70 sendfile 71 pselect6 72 ppoll 73 readlinkat 78 newfstatat 79 fstat 80
    fsync 82 fdatasync 83 capget 90 capset 91 exit 93 exit_group 94 waitid 95 set_tid_address 96
    unshare 97 futex 98 set_robust_list 99 get_robust_list 100 nanosleep 101 getitimer 102
    setitimer 103 clock_gettime 113 clock_getres 114 clock_nanosleep 115 ptrace 117
    sched_getscheduler 120 sched_getparam 121 sched_getaffinity 123 sched_yield 124
    sched_get_priority_max 125 sched_get_priority_min 126 restart_syscall 128 kill 129 tkill 130
    tgkill 131 sigaltstack 132 rt_sigaction 134 rt_sigprocmask 135 rt_sigreturn 139 getresuid 148
    getresgid 150 times 153 getpgid 155 getsid 156 getgroups 158 uname 160 getrlimit 163
    getrusage 165 umask 166 prctl 167 gettimeofday 169 getpid 172 getppid 173 getuid 174
    geteuid 175 getgid 176 getegid 177 gettid 178 sysinfo 179 socket 198 socketpair 199 bind 200
    connect 203 getsockname 204 getpeername 205 sendto 206 recvfrom 207 setsockopt 208
    getsockopt 209 shutdown 210 sendmsg 211 recvmsg 212 brk 214 munmap 215 mremap 216 clone 220
    execve 221 mmap 222 fadvise64 223 mprotect 226 msync 227 mincore 232 madvise 233 wait4 260
    prlimit64 261 setns 268 process_vm_readv 270 renameat2 276 seccomp 277 getrandom 278
    memfd_create 279 bpf 280 execveat 281 userfaultfd 282 membarrier 283 copy_file_range 285
    statx 291 rseq 293 pidfd_send_signal 424 io_uring_setup 425 pidfd_open 434 clone3 435
    close_range 436 openat2 437 pidfd_getfd 438 faccessat2 439 epoll_pwait2 441
    landlock_create_ruleset 444 landlock_add_rule 445 landlock_restrict_self 446
    """),
)

BY_MACHINE = {"x86_64": X86_64, "aarch64": AARCH64}

# Names a machine lacks are skipped; what is not named here fails with EPERM.
ALLOWED = frozenset(
    """
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
    rt_sigprocmask rt_sigreturn pread64 pwrite64 readv writev access pipe select sched_yield
    mremap msync mincore madvise dup dup2 pause nanosleep getitimer alarm setitimer getpid
    sendfile recvfrom recvmsg sendto sendmsg shutdown getsockname getpeername getsockopt
    setsockopt exit wait4 uname flock fsync fdatasync ftruncate getdents getcwd chdir fchdir
    rename mkdir rmdir creat unlink symlink readlink umask gettimeofday getrlimit getrusage
    sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups getresuid getresgid
    getpgid getsid capget sigaltstack sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min gettid futex time sched_getaffinity epoll_create getdents64
    set_tid_address restart_syscall fadvise64 clock_gettime clock_getres clock_nanosleep
    exit_group epoll_wait epoll_ctl waitid openat mkdirat newfstatat unlinkat renameat symlinkat
    readlinkat faccessat pselect6 ppoll set_robust_list get_robust_list epoll_pwait eventfd2
    epoll_create1 dup3 pipe2 preadv pwritev renameat2 getrandom membarrier copy_file_range statx
    rseq close_range faccessat2 epoll_pwait2
    """.split()
)

# What reaches a file by its name: denied where Landlock cannot say which files are meant.
OPENS_FILES = frozenset(
    """
    open openat creat rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat symlink
    symlinkat chdir fchdir readlink readlinkat getdents getdents64 copy_file_range
    """.split()
)


def here() -> Architecture | None:
    """Returns this machine's table, None where there is none."""
    return BY_MACHINE.get(platform.machine())


def number(name: str) -> int:
    """Returns the number of a system call on this machine.

    Raises:
        OSError: There is no table for this machine.
    """
    architecture = here()
    if architecture is None:
        raise OSError(f"no system-call table for {platform.machine()}")
    return architecture.numbers[name]
