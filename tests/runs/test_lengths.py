"""The lengths of the last run of the same model, for the order of the next."""

from __future__ import annotations

import json
from pathlib import Path

from lightllm_evals.runs.lengths import FILE, expected_tokens, lengths_data


def _write(runs: Path, name: str, text: str) -> None:
    (runs / name).mkdir(parents=True)
    (runs / name / FILE).write_text(text, encoding="utf-8")


def test_latest_run_of_the_same_model_counts(tmp_path: Path) -> None:
    _write(tmp_path, "20260101-000000-a", json.dumps(lengths_data("m", {"x": 1})))
    _write(tmp_path, "20260102-000000-a", json.dumps(lengths_data("m", {"x": 2, "y": 3})))
    _write(tmp_path, "20260103-000000-a", json.dumps(lengths_data("other", {"x": 9})))
    assert expected_tokens(tmp_path, "m") == {"x": 2, "y": 3}


def test_torn_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, "1", json.dumps(lengths_data("m", {"x": 1})))
    _write(tmp_path, "2", '{"model_name": "m", "output_to')
    _write(tmp_path, "3", "[]")
    _write(tmp_path, "4", '{"model_name": "m", "output_tokens": [1]}')
    assert expected_tokens(tmp_path, "m") == {"x": 1}


def test_no_earlier_run_knows_no_length(tmp_path: Path) -> None:
    assert expected_tokens(tmp_path / "nowhere", "m") == {}
