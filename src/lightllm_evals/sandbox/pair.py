"""The two zygotes of one sandbox, and what they were seen to confine."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Any

from lightllm_evals.errors import SandboxError
from lightllm_evals.sandbox.isolation import Isolation
from lightllm_evals.sandbox.jail import frames
from lightllm_evals.sandbox.zygote_process import START_TIMEOUT_S, Zygote

_SELFTEST_RESULT_FD = 10


class Pair:
    """A candidate and a checker zygote of the same level, both self-tested.

    Attributes:
        candidate: Forks the processes that run programs.
        checker: Forks the processes that run tests.
        isolation: The level that the self-tests confirm.
    """

    def __init__(self, *, python: str, max_level: int, scratch_mb: int, packages: bool) -> None:
        refused: dict[int, str] = {}
        while True:
            self._start(
                python=python, max_level=max_level, scratch_mb=scratch_mb, packages=packages
            )
            try:
                level, reasons, breach = self._inspect(max_level)
            except SandboxError:
                self.close()
                raise
            refused = {**reasons, **refused}
            if not breach:
                break
            self.close()
            refused[level] = breach
            max_level = level - 1
        self.isolation = Isolation(level=level, refused=refused)

    def _start(self, *, python: str, max_level: int, scratch_mb: int, packages: bool) -> None:
        def start() -> Zygote:
            return Zygote(
                python=python, max_level=max_level, scratch_mb=scratch_mb, packages=packages
            )

        self.candidate = start()
        try:
            self.checker = start()
        except SandboxError:
            self.candidate.close()
            raise

    def _inspect(self, max_level: int) -> tuple[int, dict[int, str], str]:
        """Returns the level of the two, why no higher one, and what broke out of it."""
        reports = [zygote.report() for zygote in (self.candidate, self.checker)]
        levels = {report["level"] for report in reports}
        reasons = {int(n): why for report in reports for n, why in report["refused"].items()}
        # A zygote is believed no more than it was allowed to reach.
        level = min(max(levels), max_level)
        if len(levels) > 1:
            return level, reasons, "one of two processes could not be confined"
        breaches = [_breach(zygote, level) for zygote in (self.candidate, self.checker)]
        return level, reasons, next(filter(None, breaches), "")

    def close(self) -> None:
        """Ends both zygotes."""
        self.candidate.close()
        self.checker.close()


def _breach(zygote: Zygote, level: int) -> str:
    """Returns what a child of this zygote can do that its level forbids, "" for nothing."""
    if level == 0:
        return ""
    seen = _selftest(zygote)
    worked = ", ".join(seen["worked"])
    if worked:
        return f"a confined process could {worked}"
    if level == 3 and (seen["pid"] != 1 or seen["proc"]):
        return "a confined process sees the processes of the host"
    return ""


def _selftest(zygote: Zygote) -> dict[str, Any]:
    reader, writer = os.pipe()
    try:
        request = {"role": "selftest", "memory_mb": 512, "cpu_s": 10}
        zygote.fork(request, {_SELFTEST_RESULT_FD: writer})
    finally:
        os.close(writer)
    try:
        seen = None
        # A child that blocks instead of failing has not finished its self-test either.
        if select.select([reader], [], [], START_TIMEOUT_S)[0]:
            with contextlib.suppress(EOFError, frames.FrameError):
                seen = frames.receive(reader)
    finally:
        os.close(reader)
    zygote.end_child()
    zygote.ended()
    if type(seen) is not dict or {"worked", "pid", "proc"} - set(seen):
        return {"worked": ["not finish its self-test"], "pid": 0, "proc": True}
    return seen
