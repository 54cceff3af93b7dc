"""A zygote: exec'd once with a clean environment, it forks one confined child per sample.

It never reads program text; children read it from their own pipe after the fork. On the socket,
one JSON line with descriptors asks for a child, one byte orders its end, one JSON line tells how
it ended. When the socket or the harness process is gone, so are the zygote and its child.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from . import (
    candidate,
    checker,
    confinement,
    descendants,
    limits,
    linux,
    namespaces,
    preload,
    scratch,
    selftest,
)

RULESET_FD = 30
_FIRST_FREE_FD = 100
_LAST_FD = 256
_QUOTA_POLL_S = 0.04
_ALIVE_POLL_S = 1.0

_ROLES = {"candidate": candidate.main, "checker": checker.main, "selftest": selftest.main}


def main(config: dict[str, Any]) -> NoReturn:
    """Starts up, reports the level reached, and serves until the harness is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Our own modules are loaded by now; what a program imports is not to be written anywhere.
    sys.dont_write_bytecode = True
    channel = socket.socket(fileno=config["socket_fd"])
    channel.set_inheritable(False)
    missing = preload.load(preload.COMMON)
    preload.add_site_builtins()
    if config["packages"]:
        missing += preload.load_packages(config["packages"], config["packages_folder"])
    harness = _watch(os.getppid())
    wanted = confinement.Wanted(
        max_level=config["max_level"] if sys.platform == "linux" else 0,
        scratch_mb=config["scratch_mb"],
        scratch_parent=config["scratch_parent"],
    )
    confined = confinement.establish(wanted, after_fork=channel.close)
    if confined.level == 1:
        missing += preload.load(preload.WITHOUT_FILES)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 2)
    gc.collect()
    gc.freeze()
    report = {
        "level": confined.level,
        "refused": confined.refused,
        "uid": os.geteuid(),
        "scratch": confined.scratch,
        "missing": missing,
    }
    _Server(channel, confined, harness, null, config["scratch_mb"]).serve(report)


def _watch(harness_pid: int) -> int:
    """Returns a descriptor that is readable once the harness has ended, -1 for none."""
    if sys.platform != "linux":
        return -1
    try:
        return linux.pidfd_open(harness_pid)
    except OSError:
        return -1


class _Server:
    def __init__(
        self,
        channel: socket.socket,
        confined: confinement.Confinement,
        harness: int,
        null: int,
        scratch_mb: int,
    ) -> None:
        self._channel = channel
        self._confined = confined
        self._harness = harness
        self._null = null
        self._scratch_bytes = scratch_mb << 20
        self._parent = os.getppid()
        self._child = 0
        self._ended_reader, ended_writer = os.pipe()
        for end in (self._ended_reader, ended_writer):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ended_writer, warn_on_full_buffer=False)
        if confined.level == 0:
            descendants.adopt_orphans()

    def serve(self, report: dict[str, Any]) -> NoReturn:
        self._send(report)
        while True:
            request, fds = self._receive_request()
            self._fork(request, fds)
            for fd in fds:
                os.close(fd)
            self._send(self._watch_child())

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._leave()

    def _receive_request(self) -> tuple[dict[str, Any], list[int]]:
        while self._channel not in self._wait([self._channel], None):
            pass
        text, fds, _, _ = socket.recv_fds(self._channel, 65536, 8)
        while text and not text.endswith(b"\n"):
            text += self._channel.recv(65536)
        if not text:
            self._leave()
        return json.loads(text), list(fds)

    def _wait(self, readers: list[Any], timeout_s: float | None) -> list[Any]:
        """Returns which of the readers are ready; leaves when the harness is gone."""
        watched = [*readers, self._ended_reader]
        if self._harness >= 0:
            watched.append(self._harness)
        limit = _ALIVE_POLL_S if self._harness < 0 else None
        while True:
            waits = [w for w in (timeout_s, limit) if w is not None]
            ready, _, _ = select.select(watched, [], [], min(waits) if waits else None)
            if self._harness in ready or os.getppid() != self._parent:
                self._leave()
            if self._ended_reader in ready:
                os.read(self._ended_reader, 4096)
                return ready
            if ready or timeout_s is not None:
                return ready

    def _leave(self) -> NoReturn:
        if self._child:
            self._kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, 0)
        if self._confined.level == 0:
            descendants.end_all()
        with contextlib.suppress(OSError):
            scratch.remove(self._confined.scratch)
        os._exit(0)

    def _kill(self) -> None:
        os.kill(self._child, signal.SIGKILL)

    def _fork(self, request: dict[str, Any], fds: list[int]) -> None:
        is_alone = self._confined.level >= 3
        if is_alone:
            # The next child is process 1 of a pid namespace that ends with it.
            linux.unshare(linux.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            self._be_child(request, fds)
        if is_alone:
            linux.setns(self._confined.pid_namespace, linux.CLONE_NEWPID)
        self._child = pid

    def _be_child(self, request: dict[str, Any], fds: list[int]) -> NoReturn:
        try:
            self._become_child(request, fds)
            _ROLES[request["role"]]()
            status = 0
        except BaseException:  # noqa: BLE001  # the boundary of the child: nothing may come back
            status = 1
        os._exit(status)

    def _become_child(self, request: dict[str, Any], fds: list[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._confined.level < 3:
            os.setsid()
        if sys.platform == "linux":
            namespaces.die_with_parent()
        targets = {0: self._null, 1: self._null, 2: self._null}
        targets.update(zip(request["targets"], fds, strict=True))
        if self._confined.ruleset >= 0:
            targets[RULESET_FD] = self._confined.ruleset
        _arrange(targets)
        allowed = limits.Limits(memory_mb=request["memory_mb"], cpu_s=request["cpu_s"])
        ruleset = RULESET_FD if self._confined.ruleset >= 0 else -1
        confinement.confine(self._confined, allowed, ruleset)

    def _watch_child(self) -> dict[str, Any]:
        """Returns how the child ended; it is ended by order, or for using too much disk."""
        is_ordered = is_killed = is_over = False
        group = self._child
        polls = bool(self._confined.scratch) and self._confined.level in {0, 2}
        usage = None
        while usage is None or not is_ordered:
            readers = [] if is_ordered else [self._channel]
            waits = _QUOTA_POLL_S if polls and usage is None else None
            ready = self._wait(readers, waits)
            usage = usage or self._reap()
            if self._channel in ready:
                if not self._channel.recv(1):
                    self._leave()
                is_ordered = True
                if usage is None:
                    is_killed = True
                    self._kill()
            elif usage is None and polls and not is_over:
                is_over = scratch.is_over_quota(self._confined.scratch, self._scratch_bytes)
                if is_over:
                    self._kill()
        if self._confined.level == 0:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
            descendants.end_all()
        # It may have been dying of something else when our signal came.
        is_ours = is_killed and os.WIFSIGNALED(usage["status"])
        is_ours = is_ours and os.WTERMSIG(usage["status"]) == signal.SIGKILL
        ending = {"is_ordered_end": is_ours, "over_quota": is_over, "left": self._clean()}
        return {**usage, **ending}

    def _reap(self) -> dict[str, Any] | None:
        pid, status, used = os.wait4(self._child, os.WNOHANG)
        if pid == 0:
            return None
        self._child = 0
        cpu_s = used.ru_utime + used.ru_stime
        return {"status": status, "cpu_s": cpu_s, "max_rss_kb": used.ru_maxrss}

    def _clean(self) -> str:
        """Empties the scratch folder and returns why that failed, "" when it did not."""
        if not self._confined.scratch:
            return ""
        try:
            scratch.empty(self._confined.scratch)
        except OSError as error:
            return str(error)
        return ""


def _arrange(targets: dict[int, int]) -> None:
    """Gives descriptors their numbers, and closes all others."""
    high = {
        target: fcntl.fcntl(fd, fcntl.F_DUPFD, _FIRST_FREE_FD) for target, fd in targets.items()
    }
    os.closerange(0, _FIRST_FREE_FD)
    for target, fd in high.items():
        os.dup2(fd, target)
    os.closerange(_FIRST_FREE_FD, _LAST_FD)
