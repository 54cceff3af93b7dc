"""``docs/options.md`` has the options that the plugin declares, and no document has others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightllm_evals.pytest_options import OPTIONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("fixtures/*.md")])


def test_table_is_up_to_date() -> None:
    check = [sys.executable, str(ROOT / "docs" / "write_options.py"), "--check"]
    status = subprocess.run(check, check=False).returncode
    assert status == 0, "python docs/write_options.py writes it anew"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_names_options_that_exist(document: Path) -> None:
    known = {f"--lightllm-{option.name}" for option in OPTIONS}
    named = re.findall(r"--lightllm-[a-z-]*[a-z]", document.read_text(encoding="utf-8"))
    assert set(named) <= known
