from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lightllm_evals.datasets import registry, storage
from lightllm_evals.datasets.sources import DataFile, DataSet, Source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, with an empty cache beside it."""
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setattr(storage, "cache_dir", lambda: tmp_path / "cache")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataFile]:
    """Puts one data set with one file of a known content in place of the registry."""

    def put(
        content: bytes,
        *,
        source: Source | None = None,
        opencompass: str = "",
        is_non_commercial: bool = False,
    ) -> DataFile:
        file = DataFile(
            path="tiny/test.jsonl",
            sha256=hashlib.sha256(content).hexdigest(),
            rows=content.count(b"\n"),
            source=source,
            opencompass=opencompass,
        )
        owner = DataSet(
            name="tiny",
            title="Tiny",
            home="https://example.org/tiny",
            licence="MIT",
            is_non_commercial=is_non_commercial,
            files=(file,),
        )
        monkeypatch.setattr(registry, "data_sets", lambda: (owner,))
        return file

    return put
