"""Hostile and benign programs, judged and survived: the public cases and more of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

_FILES = (
    Path(__file__).parent / "cases.jsonl",
    Path(__file__).parents[3] / "shared" / "sandbox-cases.jsonl",
)
_CASES = [
    json.loads(line)
    for path in _FILES
    if path.exists()
    for line in path.read_text(encoding="utf-8").splitlines()
]
_LEAST_LEVELS = {case["id"]: case.get("min_level", 1) for case in _CASES}

CaseResults = Callable[[str, int], dict[str, list[str]]]


@pytest.mark.parametrize(
    ("user", "level"), [("own", 3), ("own", 2), ("own", 1), ("nobody", 3), ("nobody", 2)]
)
@pytest.mark.parametrize("case_id", _LEAST_LEVELS)
def test_case_holds(case_results: CaseResults, case_id: str, user: str, level: int) -> None:
    if level < _LEAST_LEVELS[case_id]:
        pytest.skip(f"needs level {_LEAST_LEVELS[case_id]}: it opens files by name")
    results = case_results(user, level)
    assert "evaluator" not in results, results["evaluator"]
    assert results[case_id] == []


def test_there_are_enough_cases_of_our_own_of_every_kind() -> None:
    own = [case for case in _CASES if case["id"].startswith("own-")]
    assert len(own) >= 40
    assert {case["kind"] for case in own} == {"spoof", "resource", "exfil", "benign"}


def test_public_cases_are_there() -> None:
    if not _FILES[1].exists():
        pytest.skip("the shared folder is not beside this checkout")
    assert any(case["id"].startswith("pub-") for case in _CASES)
