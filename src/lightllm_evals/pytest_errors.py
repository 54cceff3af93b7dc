"""Many errors with one cause are one thing to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightllm_evals.excerpt import cause


@contextmanager
def collapsed_errors(terminalreporter: Any) -> Iterator[None]:
    """Shows the first of all cases' errors with one cause, and says how many there were.

    Only what is printed changes: the counts in pytest's last line stay.
    """
    errors = terminalreporter.stats.get("error", [])
    alike: dict[object, list[Any]] = defaultdict(list)
    for report in errors:
        alike[_kind(report)].append(report)
    for first, *others in alike.values():
        if others:
            _note(first, f"(and {len(others)} more cases like this)")
    if errors:
        terminalreporter.stats["error"] = [first for first, *_ in alike.values()]
    try:
        yield
    finally:
        if errors:
            terminalreporter.stats["error"] = errors


def _kind(report: Any) -> object:
    """Returns what is the same for errors of one cause; other tests' errors are all different."""
    if not getattr(report, "lightllm_case", False):
        return id(report)
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return crash.path, crash.lineno, cause(crash.message)
    return cause(report.longreprtext)


def _note(report: Any, text: str) -> None:
    if isinstance(report.longrepr, str):
        report.longrepr += f"\n{text}"
    else:
        report.longrepr.addsection("lightllm", text)
