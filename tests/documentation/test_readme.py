"""The READMEs: commands that CI runs, one page in two languages, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("fixtures/*.md")])


def blocks(text: str) -> list[str]:
    """The fenced code blocks, with their fences."""
    return re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)


def targets(text: str) -> list[str]:
    """Where links lead, without addresses of other places and parts of pages."""
    found = re.findall(r"\]\(([^)#]+)", text)
    return [target for target in found if not target.startswith(("http://", "https://"))]


def test_ci_runs_the_command_of_the_readme() -> None:
    (command,) = [line for line in README.splitlines() if line.endswith("&& pytest")]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_chinese_readme_has_the_same_code() -> None:
    assert blocks(README)
    assert blocks(CHINESE) == blocks(README)


def test_chinese_readme_has_the_same_sections_and_tables() -> None:
    for pattern in (r"^(#+) ", r"^(\|)"):
        english = re.findall(pattern, README, re.MULTILINE)
        assert re.findall(pattern, CHINESE, re.MULTILINE) == english


def test_chinese_readme_leads_to_the_same_places() -> None:
    english = set(targets(README)) - {"README.zh-CN.md"}
    assert set(targets(CHINESE)) - {"README.md"} == english


def test_readme_shows_the_example_that_runs() -> None:
    page = (ROOT / "examples" / "test_capitals.py").read_text(encoding="utf-8")
    assert f"```python\n{page}```" in blocks(README)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [target for target in targets(text) if not (document.parent / target).exists()]
    assert missing == []
