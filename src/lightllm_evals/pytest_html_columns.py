"""pytest-html: columns for what a case's completion and verdict were."""

from __future__ import annotations

from typing import Any

import pytest

_COLUMNS = (("Verdict", "outcome"), ("Latency", "latency_s"), ("Tokens", "output_tokens"))


class Columns:
    """Adds three columns in front of pytest-html's links."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Names the columns."""
        for title, _ in reversed(_COLUMNS):
            cells.insert(
                2, f'<th class="sortable" data-column-type="{title.lower()}">{title}</th>'
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Fills them; a test that is no case has empty cells."""
        values = dict(report.user_properties)
        for title, name in reversed(_COLUMNS):
            value = values.get("verdict") or values.get(name, "") if name == "outcome" else ""
            value = value or values.get(name, "")
            cells.insert(2, f'<td class="col-{title.lower()}">{_content(value)}</td>')


def _content(value: object) -> str:
    text = f"{value:.2f} s" if isinstance(value, float) else str(value)
    # pytest-html sorts a column by what stands in its cells, as text: numbers need one width.
    is_number = isinstance(value, int | float)
    return f"<span hidden>{value:016.3f}</span>{text}" if is_number else text
