"""Pages show the examples that run, line by line."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-benchmark.md"


def test_page_shows_parts_of_the_examples() -> None:
    files = [*ROOT.glob("examples/*.py"), *ROOT.glob("examples/*.jsonl")]
    shown = [path.read_text(encoding="utf-8") for path in files]
    text = PAGE.read_text(encoding="utf-8")
    parts = re.findall(r"^```(?:python|json)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert parts
    assert [part for part in parts if not any(part in source for source in shown)] == []
