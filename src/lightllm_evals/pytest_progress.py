"""The live line of a run: one on a terminal, now and then one in a log, none with -q."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lightllm_evals.reports.progress import progress_line, stall_line

if TYPE_CHECKING:
    from lightllm_evals.runs.run import Run

_LIVE_S = 0.5
_LOG_S = 30.0
_STALL_S = 60.0
_CLOSE_S = 5.0


class ProgressLine:
    """Shows how far a run is, from a thread: the main one may be waiting.

    On a terminal the line stands in for pytest's dots, which would tear it apart; failures are
    listed at the end as always.
    """

    def __init__(self, run: Run, terminal: Any) -> None:
        self._run = run
        self._terminal = terminal
        self._is_live = bool(terminal.isatty) and terminal.verbosity == 0
        self._ended = threading.Event()
        self._width = 0
        self._stall_shown_s = 0.0
        self._thread = threading.Thread(target=self._show_until_ended, name="lightllm-progress")
        self._thread.daemon = True
        self._thread.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Takes the dots of cases off a terminal that has the live line."""
        if not self._is_live or not self._run.has_planned(report.nodeid):
            return None
        if report.when == "call" and report.outcome in {"passed", "failed"}:
            return report.outcome, "", ""
        if report.failed:
            return "error", "", ""
        return None

    def close(self) -> None:
        """Ends the line; safe to call twice."""
        self._ended.set()
        # A terminal that takes nothing must not keep the summary from being written.
        self._thread.join(_CLOSE_S)

    def _show_until_ended(self) -> None:
        period_s = _LIVE_S if self._is_live else _LOG_S
        if self._is_live:
            self._terminal.ensure_newline()
        while not self._ended.wait(period_s):
            self._show()
        if self._is_live:
            self._show()
            self._terminal.write("\n")

    def _show(self) -> None:
        progress = self._run.progress()
        line = f"lightllm: {progress_line(progress, self._run.counts)}"
        waited_s = progress.since_last_completion_s
        if progress.in_flight and waited_s >= _STALL_S:
            if waited_s - self._stall_shown_s >= _STALL_S or waited_s < self._stall_shown_s:
                self._stall_shown_s = waited_s
                self._write_line(f"lightllm: {stall_line(progress)}")
        else:
            self._stall_shown_s = 0.0
        if self._is_live:
            self._terminal.rewrite(line.ljust(self._width))
            self._width = len(line)
        else:
            self._write_line(line)

    def _write_line(self, line: str) -> None:
        if self._is_live:
            self._terminal.rewrite("".ljust(self._width) + "\r")
        else:
            self._terminal.ensure_newline()
        self._terminal.write_line(line)
