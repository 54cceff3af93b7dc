"""Judges case files in a process of its own and prints one JSON line for each case.

Run as a script, never imported: it becomes a subreaper, so that what a program leaves behind
turns into its own descendant, and it can run as another user than the tests do. The format of
the files: see the README beside the public ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightllm_evals.errors import SandboxError
from lightllm_evals.sandbox import Sandbox, Verdict

_SUBREAPER = 36
_IPC_KEYS = {str(0x5B5B00 + n) for n in (1, 2, 3)}
_POLL_S = 0.02
_SHARED_FOLDERS = ("/dev/shm", "/tmp", "/var/tmp", "/run", str(Path.home()), "/")


def _become_subreaper() -> None:
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_CHILD_SUBREAPER")


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    waiting = threading.Event()
    while not condition():
        if time.monotonic() > end_s:
            return False
        waiting.wait(_POLL_S)
    return True


@dataclass
class Process:
    """One line of the process table."""

    parent: int
    state: str
    rss_kb: int


def _processes() -> dict[int, Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                found[int(folder.name)] = Process(int(fields[1]), fields[0], int(fields[21]) * 4)
    return found


def _descendants() -> dict[int, Process]:
    """Only what this process started, directly or not: never a stranger's process."""
    table = _processes()
    found: dict[int, Process] = {}
    waiting = [os.getpid()]
    while waiting:
        parent = waiting.pop()
        for pid, process in table.items():
            if process.parent == parent:
                found[pid] = process
                waiting.append(pid)
    return found


class MemorySampler:
    """The largest resident memory of our descendants, sampled."""

    def __init__(self, *, is_needed: bool) -> None:
        self._is_needed = is_needed
        self.base_kb = self._now_kb()
        self.peak_kb = self.base_kb
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def _now_kb(self) -> int:
        return sum(p.rss_kb for p in _descendants().values())

    def _sample(self) -> None:
        while not self._stopped.wait(0.05):
            self.peak_kb = max(self.peak_kb, self._now_kb())

    def __enter__(self) -> MemorySampler:
        if self._is_needed:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._is_needed:
            self._thread.join()


@dataclass
class Traps:
    """Secrets, files, listeners and a process that no program may reach."""

    folder: Path
    canary: str = field(default_factory=lambda: f"canary-{secrets.token_hex(8)}")
    abstract: str = field(default_factory=lambda: f"sbx-{secrets.token_hex(6)}")
    hits: list[str] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        os.environ["SANDBOX_CANARY"] = self.canary
        self.outside = self.folder / "outside"
        self.reset_outside()
        sockets = self.folder / "sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        self.unix_path, self.datagram_path = sockets / "stream", sockets / "datagram"
        self.tcp_port = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1]
        self.udp_port = self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1]
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(self.unix_path))
        self._listen(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.datagram_path))
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.abstract}")
        for path in (self.unix_path, self.datagram_path):
            path.chmod(0o777)
        self.victim = self._new_victim()

    def _listen(self, family: int, kind: int, address: Any) -> Any:
        listener = socket.socket(family, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(8)
        listener.settimeout(0.1)
        self.sockets.append(listener)
        thread = threading.Thread(target=self._serve, args=(listener, kind))
        thread.start()
        self.threads.append(thread)
        return listener.getsockname()

    def _serve(self, listener: socket.socket, kind: int) -> None:
        while True:
            try:
                if kind == socket.SOCK_DGRAM:
                    listener.recvfrom(2048)
                    self.hits.append("datagram")
                else:
                    connection, _ = listener.accept()
                    self.hits.append("stream")
                    with connection:
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except TimeoutError:
                continue
            except OSError:
                return

    def _new_victim(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", "import signal; signal.pause()"],
            stdin=subprocess.DEVNULL,
        )

    def revive_victim(self) -> bool:
        """Returns whether the victim had died; then there is a new one."""
        if self.victim.poll() is None:
            return False
        self.victim = self._new_victim()
        return True

    def reset_outside(self) -> None:
        if self.outside.exists():
            shutil.rmtree(self.outside)
        self.outside.mkdir()
        self.outside.chmod(0o777)
        for name, text in (("secret.txt", self.canary), ("victim.txt", "keep me\n")):
            (self.outside / name).write_text(text)
            (self.outside / name).chmod(0o666)
        self.untouched = self.snapshot()

    def snapshot(self) -> dict[str, object]:
        seen: dict[str, object] = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            content = path.read_text() if stat.S_ISREG(status.st_mode) else ""
            attributes = tuple(os.listxattr(path, follow_symlinks=False))
            seen[path.name] = (
                status.st_mode,
                status.st_uid,
                status.st_mtime_ns,
                content,
                attributes,
            )
        seen["."] = self.outside.stat().st_mode if self.outside.exists() else None
        return seen

    def fill(self, code: str) -> str:
        values = {
            "OUTSIDE": self.outside,
            "TCP_PORT": self.tcp_port,
            "UDP_PORT": self.udp_port,
            "METADATA_ADDR": f"127.0.0.1:{self.tcp_port}",
            "UNIX_PATH": self.unix_path,
            "UNIX_DGRAM_PATH": self.datagram_path,
            "ABSTRACT": self.abstract,
            "VICTIM_PID": self.victim.pid,
        }
        for name, value in values.items():
            code = code.replace(f"@@{name}@@", str(value))
        return code

    def close(self) -> None:
        for listener in self.sockets:
            listener.close()
        for thread in self.threads:
            thread.join()
        self.victim.kill()
        self.victim.wait()


def _strays() -> set[str]:
    found = set()
    for folder in _SHARED_FOLDERS:
        with contextlib.suppress(OSError):
            found |= {str(path) for path in Path(folder).glob("sbx-pwned*")}
    return found


def _ipc_left() -> bool:
    for kind in ("shm", "msg", "sem"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            if any(line.split()[0] in _IPC_KEYS for line in lines):
                return True
    return False


def _scratch_left(folder: Path) -> list[str]:
    """Returns what lies in the scratch folders of our own zygotes between two programs."""
    left = []
    for path in folder.glob("lightllm-sandbox-*"):
        with contextlib.suppress(OSError):
            left += [str(entry) for entry in path.iterdir()]
    return left


def _run(sandbox: Sandbox, case: dict[str, Any], code: str) -> Verdict:
    problem = case["problem"]
    limits = {"timeout_s": case["timeout"], "memory_mb": case["memory_mb"]}
    entry_points = [problem["entry_point"]] if problem["entry_point"] else []
    if case["form"] == "program":
        return sandbox.run(code, problem["test"], entry_points=entry_points, **limits)
    return sandbox.run(
        problem["prompt"] + code,
        f"{problem['test']}\ncheck({problem['entry_point']})\n",
        entry_points=entry_points,
        prelude=problem["prompt"],
        **limits,
    )


class Evaluator:
    """Runs cases one by one and says what did not hold."""

    def __init__(self, sandbox: Sandbox, traps: Traps, probe: dict[str, Any]) -> None:
        self._sandbox = sandbox
        self._traps = traps
        self._probe = probe
        self._scratch_parent = Path(tempfile.gettempdir())

    def broken(self, case: dict[str, Any]) -> Iterator[str]:
        """Yields what did not hold."""
        holds = set(case["must_hold"])
        traps = self._traps
        traps.hits.clear()
        before = set(_descendants())
        strays = _strays()
        free = shutil.disk_usage(self._scratch_parent).free
        started_s = time.monotonic()
        with MemorySampler(is_needed="memory_bounded" in holds) as memory:
            try:
                verdict = _run(self._sandbox, case, traps.fill(case["code"]))
            except SandboxError as error:
                yield f"harness error: {error}"
                return
        wall_s = time.monotonic() - started_s
        yield from self._wrong_word(case, verdict)
        if "wall_bounded" in holds and wall_s > 4 * case["timeout"] + 2:
            yield f"took {wall_s:.1f} s"
        grown_kb = memory.peak_kb - memory.base_kb
        if "memory_bounded" in holds and grown_kb > (case["memory_mb"] + 192) << 10:
            yield f"grew by {grown_kb >> 10} MiB"
        if "disk_bounded" in holds:
            used = free - shutil.disk_usage(self._scratch_parent).free
            # Others may be writing to this disk: only what lies in a scratch folder is ours.
            if used > 64 << 20 and _scratch_left(self._scratch_parent):
                yield f"left {used >> 20} MiB on the disk"
        yield from self._traces(verdict, strays)
        yield from self._survivors(before)
        if "harness_alive" in holds:
            again = _run(self._sandbox, self._probe, self._probe["code"])
            if not again.passed:
                yield f"the next program is judged {again}"

    def _traces(self, verdict: Verdict, strays: set[str]) -> Iterator[str]:
        traps = self._traps
        if traps.canary in json.dumps(verdict.to_json()):
            yield "the canary is in the result"
        if traps.hits:
            yield f"touched listeners: {traps.hits}"
        if _ipc_left():
            yield "left IPC objects"
        if new := _strays() - strays:
            yield f"left files: {sorted(new)}"
        if traps.snapshot() != traps.untouched:
            yield "changed files outside"
            traps.reset_outside()
        if traps.revive_victim():
            yield "killed the victim"
        if left := _scratch_left(self._scratch_parent):
            yield f"left scratch: {left}"

    def _wrong_word(self, case: dict[str, Any], verdict: Verdict) -> Iterator[str]:
        if verdict.status not in {case["expected_verdict"], *case["also_ok"]}:
            yield f"verdict {verdict}"
        if "verdict_passed" in case["must_hold"] and not verdict.passed:
            yield f"not passed: {verdict}"
        if "verdict_not_passed" in case["must_hold"] and verdict.passed:
            yield "passed"
        if verdict.isolation != self._sandbox.isolation.level or verdict.integrity != "split":
            yield f"marked {verdict.isolation} {verdict.integrity}"
        if len(verdict.detail) > 500 or not verdict.detail.isprintable():
            yield "detail too long or with control characters"

    def _survivors(self, before: set[int]) -> Iterator[str]:
        def are_none() -> bool:
            return not [p for p in self._alive() if p not in before]

        if not _until(are_none, 1.0):
            yield f"survivors: {[p for p in self._alive() if p not in before]}"

    def _alive(self) -> list[int]:
        return [pid for pid, process in _descendants().items() if process.state != "Z"]


def _offers(case: dict[str, Any], level: int) -> bool:
    return level >= int(case.get("min_level", 1))


def main() -> None:
    request = json.loads(sys.stdin.read())
    _become_subreaper()
    folder = Path(tempfile.mkdtemp(prefix="traps-"))
    folder.chmod(0o755)
    scratch_parent = folder / "scratch"
    scratch_parent.mkdir()
    scratch_parent.chmod(0o777)
    # Scratch folders of other sandboxes on this machine are none of our business.
    tempfile.tempdir = str(scratch_parent)
    cases = [json.loads(line) for line in request["cases"].splitlines()]
    probe = next(c for c in cases if c["kind"] == "benign" and "min_level" not in c)
    level = request["level"]
    traps = Traps(folder)
    try:
        with Sandbox(min_isolation=level, max_isolation=level) as sandbox:
            evaluator = Evaluator(sandbox, traps, probe)
            for case in cases:
                if _offers(case, level):
                    line = {"id": case["id"], "broken": list(evaluator.broken(case))}
                    sys.stdout.write(json.dumps(line) + "\n")
    finally:
        traps.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
