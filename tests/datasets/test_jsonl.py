from __future__ import annotations

from pathlib import Path

import pytest

from lightllm_evals.datasets import jsonl
from lightllm_evals.errors import DatasetError, DatasetMissingError
from lightllm_evals.records import Sample


def test_records_become_samples(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"n": 7, "kind": "x", "q": "?"}\n{"n": 8, "kind": "y"}\n', encoding="utf-8")
    assert jsonl(path, id="n", group="kind")() == [
        Sample(id="7", group="x", fields={"n": 7, "kind": "x", "q": "?"}),
        Sample(id="8", group="y", fields={"n": 8, "kind": "y"}),
    ]
    assert [sample.id for sample in jsonl(path)()] == ["0", "1"]


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"q": 1}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"record 0 has no field 'id'; it has \['q'\]"):
        jsonl(path, id="id")()


def test_a_missing_file_is_only_noticed_when_read(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "none.jsonl")
    with pytest.raises(DatasetMissingError, match=r"There is no file .*none\.jsonl"):
        source()
