"""``lightllm-evals show``: prints what is sent for samples, without a server."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.pytest_cases import case_of, planned_case, profile_of
from lightllm_evals.reports.requests import case_lines

_USAGE = """\
usage: lightllm-evals show NODE_ID... [--lightllm-OPTION ...]

Prints the whole prompt of samples, as it is sent, with stop texts and parameters; or the texts
whose likelihoods are asked for. Options are pytest's and the plugin's, such as
--lightllm-profile, --lightllm-variant and --lightllm-api. No server is asked.

  lightllm-evals show 'evals/test_gsm8k.py::test_gsm8k[17]' --lightllm-api=chat
"""


class _Collected:
    """Keeps the lines of every case that a collection finds, and why it may find none."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reasons: list[str] = []
        self.failure: str = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes why a module is left out or broken."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons.append(str(report.longrepr[2]).removeprefix("Skipped: "))
        elif report.failed:
            self.reasons.append(report.longreprtext)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Renders the cases while the session's options are at hand."""
        for item in session.items:
            if (case := case_of(item)) is not None:
                profile = profile_of(session.config)
                try:
                    planned = planned_case(item, case)
                except ConfigError as error:
                    raise pytest.UsageError(str(error)) from error
                self.lines += [*case_lines(planned, profile.name if profile else ""), ""]


def show(arguments: Sequence[str]) -> int:
    """Prints what is sent for the samples that pytest arguments name; returns exit status 0.

    Raises:
        ConfigError: They name no sample; says what pytest says.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        sys.stdout.write(_USAGE)
        return 0
    found = _Collected()
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        # Nothing is run: so no workers, and no assertion to rewrite (this package is imported
        # already, of which pytest would warn).
        options = ["--collect-only", "-n0", "--assert=plain"]
        status = pytest.main([*arguments, *options], plugins=[found])
    if not found.lines:
        raise ConfigError(_reason(found, arguments, err.getvalue(), int(status)))
    sys.stdout.write("\n".join(found.lines))
    return 0


def _reason(found: _Collected, arguments: Sequence[str], errors: str, status: int) -> str:
    if found.reasons:
        return "\n".join(found.reasons)
    lines = errors.partition("ERROR: ")[2].strip().splitlines()
    if lines and lines[0].startswith("usage:"):
        # Of a wrong option argparse tells the usage first.
        lines = [line.partition("error: ")[2] for line in lines if "error: " in line]
    if lines and not lines[0].startswith(("not found", "file or directory")):
        return lines[0]
    said = lines[0] if lines else f"pytest ended with status {status}"
    return (
        f"{shlex.join(arguments)} names no sample of a benchmark ({said}); "
        "`pytest --collect-only -q` lists node ids."
    )
