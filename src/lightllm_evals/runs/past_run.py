"""Runs on disk, read again: to go on with, to judge anew, to compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.results import CaseResult, decode_result
from lightllm_evals.runs.directory import SCHEMA_VERSION, runs_below
from lightllm_evals.settings import LAST_RUN

__all__ = ["PastRun", "find_run", "json_lines", "past_runs", "runs_below"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run's folder.

    Attributes:
        path: The folder, absolute.
        identity: What ``run.json`` has.
    """

    path: Path
    identity: Mapping[str, Any]

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """What ``summary.json`` has; None for a run that was killed."""
        path = self.path / "summary.json"
        return _read_object(path) if path.exists() else None

    def results(self) -> list[CaseResult]:
        """Returns what was scored, each case once."""
        by_nodeid = {}
        for data in json_lines(self.path / "results.jsonl"):
            try:
                result = decode_result(data)
            except (KeyError, TypeError) as error:
                raise ConfigError(
                    f"{self.path / 'results.jsonl'} is damaged ({error!r}); take another run."
                ) from error
            by_nodeid[result.case.nodeid] = result
        return list(by_nodeid.values())


def find_run(text: str, below: Path) -> PastRun:
    """Returns the run that ``text`` names: a folder, a name in ``below``, or "last".

    Raises:
        ConfigError: There is no such run.
    """
    if text == LAST_RUN:
        for run in past_runs(below):
            return run
        raise ConfigError(f"There is no earlier run in {below}; name a run's folder.")
    for path in (Path(text), below / text):
        if (path / "run.json").is_file():
            return PastRun(path=path.resolve(), identity=_read_object(path / "run.json"))
    raise ConfigError(
        f"{text} is no run: neither it nor {below / text} is a folder with a run.json. "
        "Runs are named at the end of their output."
    )


def past_runs(below: Path) -> Iterator[PastRun]:
    """Yields the runs in a folder, the latest first."""
    found = sorted(below.glob("*/run.json"), key=lambda p: (p.stat().st_mtime_ns, p), reverse=True)
    for path in found:
        yield PastRun(path=path.parent.resolve(), identity=_read_object(path))


def json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a file that was written line by line.

    A line that is no object of our schema is passed over: a killed run leaves its last line
    torn, and if another process went on with the file, that line is no longer the last.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}.") from error
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict) and data.get("schema") == SCHEMA_VERSION:
            yield data


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot read {path}: {error}. Take another run.") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA_VERSION:
        raise ConfigError(f"{path} was written by another version; take another run.")
    return data
