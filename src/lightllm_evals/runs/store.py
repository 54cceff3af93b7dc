"""Completions on disk, kept as they arrive: ``completions.jsonl`` in a run's folder.

A line is ``{"schema": 1, "key": ..., "completion": {...}}``; the key is that of
``fingerprint.request_key``. Lines are only ever added, each by one write, so a run that is
killed keeps every line but perhaps its last. Errors are never stored: they are asked again.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Completion, from_json, to_json

SCHEMA_VERSION = 1
FILE_NAME = "completions.jsonl"
PREVIOUS_NAME = "completions.previous.jsonl"


class CompletionStore:
    """Adds completions to a run's file; safe to call from any thread.

    Args:
        directory: The run's folder.
        carried: Completions of earlier runs by key, which this run must not lose either.

    Attributes:
        failure: Why writing stopped, None while all is well.
    """

    def __init__(self, directory: Path, carried: Mapping[str, Completion]) -> None:
        self.failure: str | None = None
        self._lock = threading.Lock()
        self._carried = carried.keys()
        self._file = -1
        path = directory / FILE_NAME
        try:
            if path.exists():
                shutil.copyfile(path, directory / PREVIOUS_NAME)
            # Whole or not at all: a run that is killed here left the earlier one untouched.
            draft = path.with_suffix(".part")
            draft.write_bytes(b"".join(_line(key, each) for key, each in carried.items()))
            draft.replace(path)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigError(
                f"Cannot write completions to {directory}: {error.strerror or error}. "
                "Free some space there or choose another folder with --lightllm-run-dir."
            ) from error

    def add(self, key: str, completion: Completion) -> None:
        """Stores a completion unless it was carried over; a full disk is noted, not raised."""
        with self._lock:
            if self.failure or self._file < 0 or key in self._carried:
                return
            line = _line(key, completion)
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError as error:
                self.failure = error.strerror or str(error)

    def close(self) -> None:
        """Closes the file; nothing is stored afterwards. Safe to call twice."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def stored_completions(lines: Iterable[Mapping[str, Any]]) -> dict[str, Completion]:
    """Returns the completions in a file's lines by key; the last one of a key counts."""
    found = {}
    for data in lines:
        try:
            found[str(data["key"])] = from_json(Completion, data["completion"])
        except (KeyError, TypeError):
            continue
    return found


def _line(key: str, completion: Completion) -> bytes:
    data = {"schema": SCHEMA_VERSION, "key": key, "completion": to_json(completion)}
    # ASCII keeps half of a surrogate pair, which a model can return and UTF-8 cannot.
    return json.dumps(data).encode("ascii") + b"\n"
