"""The process between the harness and a server: it outlives the harness and ends the server.

``python -m lightllm_evals.server.guardian`` reads one JSON line with the order from its standard
input, starts the server and then waits. End of input means that the harness is gone, also after
SIGKILL, where no handler of its own could run. On Linux it is the *subreaper* of everything
below it: a grandchild whose parent died, or which changed its session, becomes the guardian's
child, so the server's processes are exactly the guardian's descendants and nothing escapes.

It reports on standard output, a JSON object a line: ``{"pid": 1}`` once started,
``{"error": "..."}`` if it cannot be started, ``{"exit_code": 1}`` when the server ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from lightllm_evals.server.environment import server_environment
from lightllm_evals.server.leftovers import remove_leftovers

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

# A launcher that ended well leaves helpers that still tidy up shared memory.
_STRAGGLER_GRACE_S = 2.0
# Nobody waits for the answers any more when the harness is gone.
_ORPHAN_GRACE_S = 10.0
_KILL_DEADLINE_S = 20.0
# Only a safety net: signals and input wake the guardian up.
_TICK_S = 1.0


class Guardian:
    """Owns one server: starts it, waits for its end or an order, and takes it down."""

    def __init__(self, order: Mapping[str, Any], inbox: Inbox) -> None:
        self._order = order
        self._inbox = inbox
        inbox.orphan_grace_s = min(_ORPHAN_GRACE_S, order["grace_s"])
        self._server: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None

    def run(self) -> None:
        """Runs the server until it ends, the harness says stop, or the harness is gone."""
        if not self._start():
            return
        while self._exit_code is None and self._inbox.stop_grace_s is None:
            self._wait(_TICK_S)
        if self._exit_code is None:
            self._terminate(self._inbox.stop_grace_s or 0.0)
        self._end_descendants()
        remove_leftovers(Path(self._order["log"]), self._order.get("nccl_port"))

    def _start(self) -> bool:
        try:
            with Path(self._order["log"]).open("ab") as log:
                self._server = subprocess.Popen(
                    self._order["command"],
                    # A server of ours ends when this pipe does: even without a guardian.
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=server_environment(self._order["env"]),
                    start_new_session=True,
                )
        except OSError as error:
            report({"error": f"{error.strerror}: {error.filename}"})
            return False
        report({"pid": self._server.pid})
        return True

    def _wait(self, timeout_s: float) -> None:
        self._inbox.wait(timeout_s)
        self._reap()

    def _reap(self) -> None:
        # Everything that dies below us is ours to collect, so Popen.wait is never used.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._server is not None and pid == self._server.pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
                self._server.returncode = self._exit_code
                report({"exit_code": self._exit_code})

    def _terminate(self, grace_s: float) -> None:
        """Asks the launcher, and only it, to end: LightLLM's launcher ends its children."""
        assert self._server is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._server.pid, signal.SIGTERM)
        start_s = time.monotonic()
        while self._exit_code is None:
            # A second order can only shorten the grace: the user is in a hurry.
            grace_s = min(grace_s, self._inbox.stop_grace_s or 0.0)
            left_s = start_s + grace_s - time.monotonic()
            if left_s <= 0:
                return
            self._wait(min(left_s, _TICK_S))

    def _end_descendants(self) -> None:
        """Kills until nothing is left; after a good end it waits a little before."""
        if self._exit_code == 0:
            deadline_s = time.monotonic() + _STRAGGLER_GRACE_S
            while self._descendants() and time.monotonic() < deadline_s:
                self._wait(0.05)
        deadline_s = time.monotonic() + _KILL_DEADLINE_S
        while (left := self._descendants()) and time.monotonic() < deadline_s:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._wait(0.05)

    def _descendants(self) -> Sequence[psutil.Process]:
        self._reap()
        found = psutil.Process().children(recursive=True)
        if not sys.platform.startswith("linux") and self._server is not None:
            # Without a subreaper, orphans are only found by the group that they were born in.
            found += [p for p in psutil.process_iter() if _group_of(p.pid) == self._server.pid]
        return found


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


class Inbox:
    """What reaches the guardian: orders on standard input, signals, the harness's death.

    Attributes:
        stop_grace_s: Seconds that the server is given to end; None while it is to run.
        orphan_grace_s: The same for a server whose harness is gone.
    """

    def __init__(self) -> None:
        self.stop_grace_s: float | None = None
        self.orphan_grace_s = _ORPHAN_GRACE_S
        self._harness_pid = os.getppid()
        self._buffer = b""
        self._is_open = True
        self._selector = selectors.DefaultSelector()
        self._wakeup, write_end = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        # Handlers instead of SIG_IGN, which the server would inherit.
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: self._shorten(self.orphan_grace_s))
        self._selector.register(0, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def first_line(self) -> bytes | None:
        """Returns the first line, or None if the harness went before it was complete."""
        while b"\n" not in self._buffer:
            if not self._is_open:
                return None
            self._read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def wait(self, timeout_s: float) -> None:
        """Returns when something happened, or after the timeout."""
        for key, _ in self._selector.select(timeout_s):
            if key.fd == 0:
                self._read()
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
        self._obey()

    def _read(self) -> None:
        chunk = os.read(0, 65536)
        if not chunk:
            self._is_open = False
            self._selector.unregister(0)
        self._buffer += chunk

    def _obey(self) -> None:
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._shorten(float(line))
        # A process forked from the harness may hold the pipe open after the harness's death.
        if not self._is_open or os.getppid() != self._harness_pid:
            self._shorten(self.orphan_grace_s)

    def _shorten(self, grace_s: float) -> None:
        known_s = self.stop_grace_s
        self.stop_grace_s = grace_s if known_s is None else min(known_s, grace_s)


def report(event: Mapping[str, Any]) -> None:
    """Tells the harness, if it still listens."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(event).encode() + b"\n")


def become_subreaper() -> None:
    """Makes orphaned descendants children of this process, on Linux."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> None:
    """Reads the order and runs the server."""
    become_subreaper()
    inbox = Inbox()
    line = inbox.first_line()
    if line is not None:
        Guardian(json.loads(line), inbox).run()


if __name__ == "__main__":
    main()
