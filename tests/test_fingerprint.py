from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightllm_evals.fingerprint import code_hash, sample_hash
from lightllm_evals.records import Sample

SOURCE = '''
import re

LIMIT = 3
FENCE = re.compile("x+")
NAMES = frozenset({"a", "b", "c", "d"})

def helper(text):
    return text[:LIMIT]

def judge(text):
    """Says whether a text is right."""
    # A remark.
    return FENCE.search(helper(text)) is not None and text in NAMES
'''


@pytest.fixture
def hash_of(tmp_path: Path) -> Callable[..., str]:
    """Returns the hash of ``judge`` in a module with this source."""
    import importlib.util

    def make(source: str, name: str = "evalmodule") -> str:
        path = tmp_path / f"{name}_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        judge: Any = module.judge
        return code_hash(judge)

    return make


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ('"x+"', '"y+"'),
        ('"d"}', '"e"}'),
        ("text[:LIMIT]", "text[1:LIMIT]"),
        ("is not None", "is None"),
    ],
)
def test_what_can_change_a_verdict_changes_the_hash(
    hash_of: Callable[..., str], old: str, new: str
) -> None:
    assert old in SOURCE
    assert hash_of(SOURCE) != hash_of(SOURCE.replace(old, new))


def test_remarks_names_of_modules_and_other_code_do_not(hash_of: Callable[..., str]) -> None:
    same = SOURCE.replace("# A remark.", "").replace("Says whether", "Tells if")
    assert hash_of(SOURCE) == hash_of(f"{same}\ndef other():\n    return 1\n", "evals_evalmodule")


def test_a_record_is_told_from_another_whatever_the_order_of_its_fields() -> None:
    one = Sample(id="1", fields={"a": 1, "b": ["x"]})
    assert sample_hash(one) == sample_hash(Sample(id="1", fields={"b": ["x"], "a": 1}))
    assert sample_hash(one) != sample_hash(Sample(id="1", fields={"a": 1, "b": ["y"]}))
    assert sample_hash(one) != sample_hash(Sample(id="2", fields={"a": 1, "b": ["x"]}))
