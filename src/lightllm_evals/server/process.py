"""One started server with everything below it, as the harness holds it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psutil

from lightllm_evals.errors import ServerDiedError, ServerError, ServerStartError
from lightllm_evals.server.log_watch import LogWatch, find_failure, log_tail
from lightllm_evals.server.ports import is_port_free

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.1
_EXIT_AFTER_FAILURE_S = 1.0
# A server that never served has no answers to finish.
_START_GRACE_S = 5.0
# What the guardian needs beyond the grace: stragglers, killing, tidying up.
_GUARDIAN_MARGIN_S = 40.0
_PORT_RELEASE_S = 10.0


class ServerProcess:
    """A started server: a process group of its own below a guardian.

    A context manager; leaving it ends the server. Methods may be called from any thread.

    Attributes:
        url: Base URL; "" until it is known.
        command: The command line.
        log_path: Where everything that it writes goes.
        pid: Of the process that was started.
        warnings: Sentences for the user about how the command was made.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        log_path: Path,
        url: str = "",
        env: Mapping[str, str] | None = None,
        grace_s: float = 70.0,
        nccl_port: int | None = None,
        ports: tuple[int, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Starts the command.

        Args:
            command: The command line, an absolute or findable program first.
            log_path: File for its output; it starts anew.
            url: Base URL, if it is known beforehand.
            env: Variables on top of the harness's own.
            grace_s: Seconds between SIGTERM and SIGKILL once the server is ready.
            nccl_port: Identity of a LightLLM server of 2025, whose files are removed by it.
            ports: Ports that must be free again after the end, besides the URL's.
            warnings: Passed on as they are.

        Raises:
            ServerStartError: There is no such program, or the log cannot be written.
        """
        self.url = url
        self.command = command
        self.log_path = log_path
        self.warnings = warnings
        self._grace_s = grace_s
        self._ports = ports
        self._lock = threading.RLock()
        self._exit_code: int | None = None
        self._is_ready = False
        self._is_stopped = False
        self._reports = b""
        self._watch = LogWatch(log_path)
        self._failure = ""
        order = {
            "command": command,
            "log": str(log_path.absolute()),
            "env": {"PYTHONUNBUFFERED": "1", **(env or {})},
            "nccl_port": nccl_port,
            "grace_s": grace_s,
        }
        self._guardian = self._start_guardian(order)
        self.pid = self._started_pid()
        self._created = _created(self.pid)

    def __repr__(self) -> str:
        state = "stopped" if self._is_stopped else "ready" if self._is_ready else "starting"
        return f"<ServerProcess pid={self.pid} {state} {self.url}>"

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Returns when ``is_ready`` says so; from then on the server counts as serving.

        Raises:
            ServerStartError: It ended, its log shows a failure, or the time is over.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_ready():
            self.poll()
            if time.monotonic() > deadline_s:
                raise self._error(
                    ServerStartError,
                    f"The server was not ready within {timeout_s:g} s. Raise "
                    "--lightllm-start-timeout if the model needs longer to load",
                )
            time.sleep(_POLL_INTERVAL_S)
        with self._lock:
            self._is_ready = True

    def poll(self) -> None:
        """Returns if the server is alive, as far as its processes and its log tell.

        Raises:
            ServerStartError: It ended or failed before it was ready.
            ServerDiedError: It ended or failed while it served, or was stopped.
        """
        with self._lock:
            kind = ServerDiedError if self._is_ready else ServerStartError
            # Asked first: a report written just before the guardian's end must still be read.
            is_guarded = self._guardian.poll() is None
            self._read_reports(0.0)
            self._scan_log()
            if self._failure:
                # Some launchers exit right after such a line; others hang for ever.
                self._read_reports(_EXIT_AFTER_FAILURE_S)
                raise self._error(kind, f"The server failed; its log says: {self._failure}")
            if self._exit_code is not None or self._is_stopped:
                when = "while it served" if self._is_ready else "before it was ready"
                raise self._error(kind, f"The server ended {when}")
            if not is_guarded:
                raise self._error(kind, "The process that guards the server was killed")

    def stop(self) -> None:
        """Ends the server and everything it started; returns when all is gone.

        SIGTERM, grace, SIGKILL. Calling it again does nothing.

        Raises:
            ServerError: A port that the server served on is still taken afterwards.
        """
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
            try:
                self._end_guardian(self._grace_s if self._is_ready else _START_GRACE_S)
            finally:
                self._close_pipes()
        # A server that failed to start may have failed because they are somebody else's.
        if self._is_ready:
            self._wait_for_ports()

    def _start_guardian(self, order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.log_path.write_bytes(b"")
            with self.log_path.open("ab") as log:
                guardian = subprocess.Popen(
                    [sys.executable, "-m", "lightllm_evals.server.guardian"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    # Ctrl-C in the terminal is for the harness, which then ends us in order.
                    start_new_session=True,
                    bufsize=0,
                )
        except OSError as error:
            raise ServerStartError(
                f"The server's log {self.log_path} cannot be written: {error.strerror}."
            ) from error
        self._guardian = guardian
        self._send(json.dumps(order))
        return guardian

    def _started_pid(self) -> int:
        """Returns the server's process id.

        Raises:
            ServerStartError: It could not be started.
        """
        pid: int | None = None
        message = "The process that guards the server ended at once"
        # Ends without a deadline of its own: the guardian reports, or its pipe closes.
        while pid is None:
            line = self._report_line(None)
            if line is None:
                break
            event = json.loads(line)
            pid = event.get("pid")
            if "error" in event:
                message = f"The server cannot be started: {event['error']}"
        if pid is None:
            self._guardian.wait()
            self._is_stopped = True
            self._close_pipes()
            raise self._error(ServerStartError, message)
        return pid

    def _send(self, line: str) -> None:
        assert self._guardian.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            data = memoryview(f"{line}\n".encode())
            while data:
                data = data[os.write(self._guardian.stdin.fileno(), data) :]

    def _read_reports(self, timeout_s: float) -> None:
        while self._exit_code is None and (line := self._report_line(timeout_s)) is not None:
            self._exit_code = json.loads(line).get("exit_code")

    def _report_line(self, timeout_s: float | None) -> bytes | None:
        """Returns the guardian's next report; None if there is none in time or any more."""
        assert self._guardian.stdout is not None
        if self._guardian.stdout.closed:
            return None
        descriptor = self._guardian.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._reports:
                if not selector.select(timeout_s):
                    return None
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    return None
                self._reports += chunk
        line, _, self._reports = self._reports.partition(b"\n")
        return line

    def _scan_log(self) -> None:
        for line in self._watch.new_lines():
            if not self._failure and find_failure(line, is_serving=self._is_ready):
                self._failure = line.strip()

    def _error(self, kind: type[ServerError], message: str) -> ServerError:
        return kind(
            f"{message}. The whole log: {self.log_path}",
            self.command,
            self._exit_code,
            log_tail(self.log_path),
        )

    def _end_guardian(self, grace_s: float) -> None:
        self._send(f"{grace_s}")
        try:
            self._guardian.wait(grace_s + _GUARDIAN_MARGIN_S)
        except KeyboardInterrupt:
            # The second Ctrl-C: no more grace, but nothing is left behind either.
            self._send("0")
            self._guardian.wait(_GUARDIAN_MARGIN_S)
            raise
        except subprocess.TimeoutExpired:
            _log.warning("the guardian of %s hangs; killing everything below it", self.pid)
        finally:
            if self._guardian.poll() != 0:
                self._end_without_guardian()
            self._read_reports(0.0)

    def _end_without_guardian(self) -> None:
        """Kills guardian and server ourselves: the guardian hangs, or was itself killed."""
        for process in [*_tree(self._guardian.pid, None), *_tree(self.pid, self._created)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._guardian.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._guardian.stdin, self._guardian.stdout):
            if pipe is not None:
                pipe.close()

    def _wait_for_ports(self) -> None:
        deadline_s = time.monotonic() + _PORT_RELEASE_S
        ports = {urlsplit(self.url).port, *self._ports} - {None}
        while taken := [port for port in ports if port and not is_port_free(port)]:
            if time.monotonic() > deadline_s:
                raise self._error(
                    ServerError,
                    f"The server is gone, but something else holds its port {taken[0]} now",
                )
            time.sleep(_POLL_INTERVAL_S)


def _created(pid: int) -> float | None:
    """Returns when a process began; with it, a number that was given again is noticed."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def _tree(pid: int, created: float | None) -> list[psutil.Process]:
    """Returns a process and its descendants, if it is still the one that began at ``created``."""
    try:
        top = psutil.Process(pid)
        if created is not None and top.create_time() != created:
            return []
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
