"""Reads a server's growing log for the lines that mean failure.

A LightLLM launcher of 2025 does not exit when its engine fails, and a request to it hangs: the
log is then the only place that says so.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

# While a server starts.
START_FAILURES = (
    "infer process error to exit",
    "need add --",
    "AssertionError",
    "EOFError",
    "has been used",
    "Address already in use",
    "Worker failed to boot",
    "Critical LightLLM submodule exited",
)

# While it serves, only what the engine itself says: an AssertionError may be one bad request's.
SERVICE_FAILURES = (
    "infer process error to exit",
    "encountered an unexpected ERROR",
    "Critical LightLLM submodule exited",
)

# LightLLM says it in its own words ("port 1030 has been used"), in errno's ("[Errno 98]") or in
# those of torch ("EADDRINUSE").
_PORT_TAKEN = re.compile(r"has been used|address already in use|EADDRINUSE", re.IGNORECASE)

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def find_failure(line: str, *, is_serving: bool) -> bool:
    """Returns whether a log line means that the server failed."""
    return any(mark in line for mark in (SERVICE_FAILURES if is_serving else START_FAILURES))


def is_port_taken(text: str) -> bool:
    """Returns whether a log says that a port of the server's was in use."""
    return bool(_PORT_TAKEN.search(text))


class LogWatch:
    """Follows one log file from its beginning.

    Not thread-safe; its owner holds a lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Returns the complete lines that were written since the last call."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset)
                chunk = log.read()
        except FileNotFoundError:
            return []
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in lines]


def log_tail(path: Path, *, num_lines: int = 20, max_width: int = 300) -> str:
    """Returns a log's last lines without colours, long ones cut; "" if there is no log."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            last = deque((line for line in log if line.strip()), maxlen=num_lines)
    except FileNotFoundError:
        return ""
    return "\n".join(_cut(_ANSI.sub("", line.rstrip()), max_width) for line in last)


def _cut(line: str, max_width: int) -> str:
    return line if len(line) <= max_width else f"{line[: max_width - 3]}..."
