"""A run on disk: ``run.json`` at its start, ``results.jsonl`` as it goes, ``summary.json`` last.

The formats are described in ``docs/run-directory.md``.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import to_json
from lightllm_evals.results import CaseResult

SCHEMA_VERSION = 1


def default_run_directory(below: Path) -> Path:
    """Returns a new run's folder, named for the UTC time and four random bytes."""
    name = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    return runs_below(below) / name


def runs_below(below: Path) -> Path:
    """Returns the folder that has the runs of a project."""
    return below / ".lightllm-evals" / "runs"


class RunDirectory:
    """Writes a run as it happens; a line is one write, so a killed run keeps every line.

    Attributes:
        path: The folder.
        has_results: An earlier run left results here; ``begin`` replaces them.
        failure: Why writing stopped, None while all is well. A full disk must not end a
            run whose scores still reach the terminal and JUnit, but it has to be said.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: str | None = None
        self.num_unwritten = 0
        results = path / "results.jsonl"
        try:
            self.has_results = results.exists() and results.stat().st_size > 0
            path.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._results: int = os.open(results, flags, 0o644)
        except OSError as error:
            raise ConfigError(
                f"Cannot write results to {path}: {error.strerror or error}. "
                f"{'Free some space' if error.errno == errno.ENOSPC else 'Make it writable'} "
                "or choose another folder with --lightllm-run-dir."
            ) from error

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Writes ``run.json``; what an earlier run left here must not pass for this one's."""
        try:
            (self.path / "summary.json").unlink(missing_ok=True)
            os.ftruncate(self._results, 0)
        except OSError as error:
            self._fail(error)
        self.write("run.json", identity)

    def append(self, result: CaseResult) -> None:
        """Adds one scored or failed case to ``results.jsonl``."""
        if self.failure:
            self.num_unwritten += 1
            return
        line = _dump({"schema": SCHEMA_VERSION, **to_json(result)}) + b"\n"
        size: int | None = None
        try:
            size = os.fstat(self._results).st_size
            written = os.write(self._results, line)
            if written < len(line):
                os.write(self._results, line[written:])
        except OSError as error:
            self._fail(error)
            self.num_unwritten += 1
            self._drop_half_line(size)

    def _drop_half_line(self, size: int | None) -> None:
        # It would make the whole file unreadable to others.
        with suppress(OSError):
            if size is not None:
                os.ftruncate(self._results, size)

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        """Writes a JSON file whole: a reader sees the old one or the new one."""
        target = self.path / name
        draft = target.with_suffix(".part")
        try:
            draft.write_bytes(_dump({"schema": SCHEMA_VERSION, **data}, indent=2) + b"\n")
            draft.replace(target)
        except OSError as error:
            self._fail(error)
            with suppress(OSError):
                draft.unlink()

    def close(self) -> None:
        """Closes the results file; nothing can be added afterwards. Safe to call twice."""
        if self._results >= 0:
            os.close(self._results)
            self._results = -1

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or (error.strerror or str(error))


def _dump(data: Mapping[str, Any], indent: int | None = None) -> bytes:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    # A model can return half of a surrogate pair, which has no UTF-8.
    return text.encode("utf-8", errors="backslashreplace")
