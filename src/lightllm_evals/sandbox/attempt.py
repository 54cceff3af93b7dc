"""One program, one candidate process, one checker process: what was seen of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from lightllm_evals.errors import SandboxError
from lightllm_evals.sandbox import starvation
from lightllm_evals.sandbox.deadline import Deadline
from lightllm_evals.sandbox.jail import candidate, checker, frames
from lightllm_evals.sandbox.pair import Pair
from lightllm_evals.sandbox.zygote_process import Zygote

KEPT_OUTPUT_BYTES = 64 << 10
MAX_OUTPUT_BYTES = 16 << 20
MAX_VERDICT_BYTES = 64 << 10
CHECKER_MEMORY_MB = 1024
_CHUNK = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be judged, and within which limits."""

    program: str
    tests: str
    names: tuple[str, ...]
    prelude: str
    timeout_s: float
    memory_mb: int
    is_shared: bool

    @property
    def cpu_s(self) -> int:
        """The CPU limit: a program alone on a machine meets the wall limit first."""
        return ceil(self.timeout_s) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What happened, before any judgement.

    Attributes:
        verdict: What the checker said, None where it said nothing.
        has_timed_out: The wall budget was used up.
        is_flooded: The program wrote more than ``MAX_OUTPUT_BYTES``.
        candidate: How the candidate process ended.
        checker: How the checker process ended.
    """

    verdict: dict[str, Any] | None
    has_timed_out: bool
    is_flooded: bool
    candidate: dict[str, Any]
    checker: dict[str, Any]
    wall_s: float
    delay_s: float
    stdout: bytes
    stderr: bytes


class Pipes:
    """Pipe ends by name; each is closed once, whatever happens."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def make(self, name: str) -> None:
        """Opens a pipe, whose ends are ``name.r`` and ``name.w``."""
        self._open[f"{name}.r"], self._open[f"{name}.w"] = os.pipe()

    def __getitem__(self, end: str) -> int:
        return self._open[end]

    def close(self, *ends: str) -> None:
        """Closes these ends; one that is closed already is left alone."""
        for end in ends:
            fd = self._open.pop(end, None)
            if fd is not None:
                os.close(fd)

    def close_all(self) -> None:
        """Closes what is still open."""
        self.close(*list(self._open))


@contextlib.contextmanager
def _pipes(*names: str) -> Iterator[Pipes]:
    pipes = Pipes()
    try:
        for name in names:
            pipes.make(name)
        yield pipes
    finally:
        pipes.close_all()


def observe(pair: Pair, task: Task) -> Observation:
    """Runs the task on fresh processes and returns what was seen; none is left afterwards.

    Raises:
        SandboxError: A zygote did not do its part.
    """
    with _pipes("program", "calls", "answers", "tests", "verdict", "stdout", "stderr") as pipes:
        return _Attempt(pair, task, pipes).run()


class _Attempt:
    def __init__(self, pair: Pair, task: Task, pipes: Pipes) -> None:
        self._pair = pair
        self._task = task
        self._pipes = pipes
        self._zygotes = [(z, z.innermost()) for z in (pair.candidate, pair.checker)]
        self._zygote_delays_s = [starvation.usage_of(pid).delay_s for _, pid in self._zygotes]
        self._deadline = Deadline(task.timeout_s, time.monotonic, self._delay_s)
        self._verdict = bytearray()
        self._outputs = {"stdout.r": bytearray(), "stderr.r": bytearray()}
        self._written = 0
        self._to_send: dict[str, memoryview] = {}

    def run(self) -> Observation:
        self._start()
        has_timed_out = not self._talk()
        wall_s, delay_s = self._deadline.elapsed_s, self._delay_s()
        ends = self._end()
        self._drain()
        return Observation(
            verdict=self._parsed_verdict(),
            has_timed_out=has_timed_out,
            is_flooded=self._is_flooded,
            candidate=ends[0],
            checker=ends[1],
            wall_s=wall_s,
            delay_s=delay_s,
            stdout=bytes(self._outputs["stdout.r"]),
            stderr=bytes(self._outputs["stderr.r"]),
        )

    def _start(self) -> None:
        task, pipes = self._task, self._pipes
        nonce = secrets.token_hex(16) if task.is_shared else ""
        program = {"program": task.program, "names": task.names, "nonce": nonce}
        tests = {"tests": task.tests, "names": task.names, "nonce": nonce}
        if task.is_shared:
            program["tests"] = task.tests
        tests["prelude"] = "" if task.is_shared else task.prelude
        self._to_send = {
            "program.w": memoryview(frames.pack(program)),
            "tests.w": memoryview(frames.pack(tests)),
        }
        self._pair.candidate.fork(
            {"role": "candidate", "memory_mb": task.memory_mb, "cpu_s": task.cpu_s},
            {
                1: pipes["stdout.w"],
                2: pipes["stderr.w"],
                candidate.PROGRAM_FD: pipes["program.r"],
                candidate.CALLS_FD: pipes["calls.r"],
                candidate.ANSWERS_FD: pipes["answers.w"],
            },
        )
        self._pair.checker.fork(
            {"role": "checker", "memory_mb": CHECKER_MEMORY_MB, "cpu_s": task.cpu_s + 1},
            {
                checker.TESTS_FD: pipes["tests.r"],
                checker.VERDICT_FD: pipes["verdict.w"],
                checker.ANSWERS_FD: pipes["answers.r"],
                checker.CALLS_FD: pipes["calls.w"],
            },
        )
        pipes.close("stdout.w", "stderr.w", "program.r", "calls.r", "answers.w")
        pipes.close("tests.r", "verdict.w", "answers.r", "calls.w")

    def _talk(self) -> bool:
        """Feeds and drains the pipes; returns whether the budget sufficed for a verdict."""
        poll = select.poll()
        ends = {}
        for end in ("verdict.r", "stdout.r", "stderr.r", *self._to_send):
            fd = self._pipes[end]
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLOUT if end in self._to_send else select.POLLIN)
            ends[fd] = end
        while not self._is_flooded:
            remaining_s = self._deadline.remaining_s()
            # Rounded up: a wait that is cut short would come back at once, again and again.
            ready = poll.poll(ceil(remaining_s * 1000))
            for fd, _ in ready:
                is_over = (
                    self._write(ends[fd]) if ends[fd] in self._to_send else self._read(ends[fd])
                )
                if is_over:
                    poll.unregister(fd)
                    if ends[fd] == "verdict.r":
                        return True
            if remaining_s <= 0:
                # A program that always has something to say gets no more time for it.
                return False
        return True

    def _write(self, end: str) -> bool:
        """Sends what fits and returns whether there is nothing left to send."""
        try:
            sent = os.write(self._pipes[end], self._to_send[end][:_CHUNK])
        except BlockingIOError:
            return False
        except BrokenPipeError:
            sent = len(self._to_send[end])
        self._to_send[end] = self._to_send[end][sent:]
        if self._to_send[end]:
            return False
        self._pipes.close(end)
        return True

    def _read(self, end: str) -> bool:
        """Takes what is there and returns whether no more will come."""
        try:
            data = os.read(self._pipes[end], _CHUNK)
        except BlockingIOError:
            return False
        if end == "verdict.r":
            self._verdict += data
            return not data or len(self._verdict) > MAX_VERDICT_BYTES
        self._written += len(data)
        kept = self._outputs[end]
        kept += data[: KEPT_OUTPUT_BYTES - len(kept)]
        return not data

    @property
    def _is_flooded(self) -> bool:
        return self._written > MAX_OUTPUT_BYTES

    def _delay_s(self) -> float:
        """Returns for how long zygotes and children waited for a CPU, by now."""
        usages = []
        starting_s = 0.0
        for (_, pid), before_s in zip(self._zygotes, self._zygote_delays_s, strict=True):
            starting_s += max(0.0, starvation.usage_of(pid).delay_s - before_s)
            usages += [starvation.usage_of(child) for child in starvation.children_of(pid)]
        return starting_s + starvation.delay_of(usages, self._deadline.elapsed_s)

    def _end(self) -> list[dict[str, Any]]:
        zygotes: tuple[Zygote, ...] = (self._pair.candidate, self._pair.checker)
        for zygote in zygotes:
            zygote.end_child()
        ends = [zygote.ended() for zygote in zygotes]
        for left in (end["left"] for end in ends):
            if left:
                raise SandboxError(f"The scratch folder could not be emptied: {left}.")
        return ends

    def _drain(self) -> None:
        """Takes what the program wrote last; it is gone, so nothing more can come."""
        for end in self._outputs:
            written = -1
            while written != self._written and not self._is_flooded:
                written = self._written
                self._read(end)

    def _parsed_verdict(self) -> dict[str, Any] | None:
        header, text = self._verdict[:4], bytes(self._verdict[4:])
        if len(self._verdict) > MAX_VERDICT_BYTES or int.from_bytes(header, "big") != len(text):
            return None
        try:
            verdict = frames.parse(text) if text else None
        except frames.FrameError:
            return None
        return verdict if type(verdict) is dict else None
