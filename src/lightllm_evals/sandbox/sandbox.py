"""The sandbox: one per worker, it owns two zygotes and judges one program at a time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from types import TracebackType

from lightllm_evals.errors import ConfigError, SandboxError
from lightllm_evals.sandbox import names, ruling
from lightllm_evals.sandbox.attempt import Task, observe
from lightllm_evals.sandbox.isolation import Isolation, too_low
from lightllm_evals.sandbox.pair import Pair
from lightllm_evals.sandbox.verdict import Mode, Verdict
from lightllm_evals.sandbox.zygote_process import numpy_folder

_ATTEMPTS = 2


class Sandbox:
    """Judges programs in confined processes; a context manager.

    It starts at once, in well under a second, and forks two processes per program. One call of
    ``run`` at a time is served; further ones wait.

    Args:
        min_isolation: The least level of isolation to accept, 0 to 3; 0 is unsafe.
        max_isolation: The highest level to try.
        memory_mb: Memory of a program in MiB, all in all.
        scratch_mb: What a program may write to files, in MiB.
        python: The interpreter that runs programs; this one by default.

    Attributes:
        isolation: The level that a self-test in real children confirmed, and why no higher one.

    Raises:
        ConfigError: The host does not offer ``min_isolation``.
        SandboxError: The sandbox does not start.
    """

    isolation: Isolation

    def __init__(
        self,
        *,
        min_isolation: int = 2,
        max_isolation: int = 3,
        memory_mb: int = 512,
        scratch_mb: int = 32,
        python: str | None = None,
    ) -> None:
        if not 0 <= min_isolation <= 3 or not 0 <= max_isolation <= 3:
            raise ConfigError(
                f"Isolation levels are 0 to 3, not {min_isolation} and {max_isolation}."
            )
        if not hasattr(os, "fork"):
            raise ConfigError("The sandbox needs a system with fork. On Windows, use WSL 2.")
        self._min_isolation = min_isolation
        self._max_isolation = max_isolation
        self._memory_mb = memory_mb
        self._scratch_mb = scratch_mb
        self._python = python or os.path.realpath(sys.executable)
        self._pairs: dict[bool, Pair] = {}
        self._is_closed = False
        self._lock = threading.Lock()
        self.isolation = self._pair(has_numpy=False).isolation
        # From now on no less will do: a run must not weaken half-way.
        self._min_isolation = self.isolation.level

    def run(
        self,
        program: str,
        tests: str,
        *,
        entry_points: Sequence[str] = (),
        prelude: str = "",
        timeout_s: float = 3.0,
        memory_mb: int | None = None,
        mode: Mode = "split",
    ) -> Verdict:
        """Returns the verdict on a program that a model wrote.

        Args:
            program: All of the model's code.
            tests: Statements that fail with an exception; they run out of the program's reach.
            entry_points: The names the tests take from the program. By default those that the
                tests read and nobody else defines; builtins only when named here.
            prelude: Trusted text that runs before the tests and on their side.
            timeout_s: Wall-clock budget of program and tests together, less the time spent
                waiting for a CPU; at most four times this.
            memory_mb: Memory for this program, if not the sandbox's.
            mode: "shared" runs the tests inside the program's own process, which can then
                forge the result; for tests that need its classes or modules.

        Raises:
            SandboxError: The sandbox failed twice; the program has no score.
        """
        task = Task(
            program=program,
            tests=tests,
            names=tuple(entry_points) or tuple(names.wanted_by(tests, prelude)),
            prelude=prelude,
            timeout_s=timeout_s,
            memory_mb=memory_mb or self._memory_mb,
            is_shared=mode == "shared",
        )
        has_numpy = any("numpy" in text for text in (program, tests, prelude)) and bool(
            numpy_folder()
        )
        with self._lock:
            return self._judged(task, has_numpy=has_numpy)

    def _judged(self, task: Task, *, has_numpy: bool) -> Verdict:
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                pair = self._pair(has_numpy=has_numpy)
                seen = observe(pair, task)
            except SandboxError as error:
                reason = str(error)
            except BaseException:
                # Interrupted half-way, the pair's pipes hold what the next run would misread.
                self._drop(has_numpy=has_numpy)
                raise
            else:
                verdict = ruling.verdict_of(seen, task, pair.isolation.level)
                if verdict.status != "harness_error":
                    return verdict
                reason = verdict.detail
            # Whatever went wrong, a fresh pair has no part in it.
            self._drop(has_numpy=has_numpy)
        raise SandboxError(
            f"The sandbox failed {_ATTEMPTS} times, the program was not judged: {reason}"
        )

    def _pair(self, *, has_numpy: bool) -> Pair:
        if self._is_closed:
            raise SandboxError("The sandbox is closed. Use it inside its with block.")
        if has_numpy not in self._pairs:
            pair = Pair(
                python=self._python,
                max_level=self._max_isolation,
                scratch_mb=self._scratch_mb,
                packages=has_numpy,
            )
            if pair.isolation.level < self._min_isolation:
                pair.close()
                raise ConfigError(too_low(pair.isolation, self._min_isolation))
            self._pairs[has_numpy] = pair
        return self._pairs[has_numpy]

    def _drop(self, *, has_numpy: bool) -> None:
        pair = self._pairs.pop(has_numpy, None)
        if pair is not None:
            pair.close()

    def close(self) -> None:
        """Ends both zygotes and all they started; it can be called twice."""
        self._is_closed = True
        while self._pairs:
            _, pair = self._pairs.popitem()
            pair.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
