"""The harness's end of one zygote."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lightllm_evals.errors import SandboxError
from lightllm_evals.sandbox import starvation

START_TIMEOUT_S = 60.0
REPLY_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 10.0
_SCRIPT = Path(__file__).parent / "jail" / "start.py"

# All that a zygote and its children see of the environment. A fixed hash seed makes the order
# of sets, and with it a verdict, the same in every run; -I would ignore it, so this environment
# and -s -S do what -I does.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONSAFEPATH": "1",
    "PYTHONUTF8": "1",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class Zygote:
    """One started zygote; ``report`` waits until it serves.

    Raises:
        SandboxError: From every method, when the zygote does not do its part.
    """

    def __init__(self, *, python: str, max_level: int, scratch_mb: int, packages: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket = ours
        self._received = b""
        self._scratch = ""
        config = {
            "socket_fd": theirs.fileno(),
            "max_level": max_level,
            "scratch_mb": scratch_mb,
            "scratch_parent": _temporary_folder(),
            "packages": list(NUMPY_MODULES) if packages else [],
            "packages_folder": numpy_folder() if packages else "",
        }
        try:
            self._process = subprocess.Popen(
                [python, "-s", "-S", str(_SCRIPT), json.dumps(config)],
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                # A Ctrl-C at the terminal is for the harness, which then closes us.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxError(f"Cannot start {python}: {error}. Pass python=...") from error
        finally:
            theirs.close()

    def report(self) -> dict[str, Any]:
        """Returns what the zygote says about itself once it serves."""
        try:
            report = self._reply(START_TIMEOUT_S)
        except SandboxError as error:
            raise SandboxError(f"{error}{self._last_words()}") from error
        assert self._process.stderr is not None  # for the type checker
        self._process.stderr.close()
        self._scratch = report["scratch"]
        return report

    def _last_words(self) -> str:
        self._process.kill()
        assert self._process.stderr is not None  # for the type checker
        text = self._process.stderr.read().decode(errors="replace").strip()
        return f" Its last words: {text[-500:]}" if text else ""

    def fork(self, request: dict[str, Any], targets: dict[int, int]) -> None:
        """Has a child start, with our descriptors under the numbers it knows them by."""
        message = json.dumps({**request, "targets": list(targets)}).encode() + b"\n"
        try:
            socket.send_fds(self._socket, [message], list(targets.values()))
        except OSError as error:
            raise SandboxError(f"A zygote is gone: {error}.") from error

    def end_child(self) -> None:
        """Orders the end of the child, if it has not ended by itself; ``ended`` must follow."""
        try:
            self._socket.sendall(b"k")
        except OSError as error:
            raise SandboxError(f"A zygote is gone: {error}.") from error

    def ended(self) -> dict[str, Any]:
        """Returns how the child ended, once it is gone."""
        return self._reply(REPLY_TIMEOUT_S)

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        end_s = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            left_s = end_s - time.monotonic()
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise SandboxError(f"A zygote did not answer for {timeout_s:.0f} s.")
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise SandboxError(f"A zygote is gone: {error}.") from error
            if not data:
                raise SandboxError("A zygote has ended.")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def innermost(self) -> int:
        """Returns the id of the last process in the line zygote, guardian, child."""
        pid = self._process.pid
        while children := starvation.children_of(pid):
            pid = children[0]
        return pid

    def close(self) -> None:
        """Ends the zygote with all it started."""
        self._socket.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._scratch.startswith("/") and "lightllm-sandbox-" in self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


NUMPY_MODULES = ("numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.ma")


def numpy_folder() -> str:
    """Returns the folder that numpy is installed in, "" where it is not."""
    for folder in filter(None, sys.path):
        if (Path(folder) / "numpy" / "__init__.py").is_file():
            return str(Path(folder).absolute())
    return ""


def _temporary_folder() -> str:
    with contextlib.suppress(FileNotFoundError):
        return tempfile.gettempdir()
    return "/tmp"  # noqa: S108  # the zygote tries others when this is not writable
