from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightllm_evals.datasets import overview, registry, storage
from lightllm_evals.datasets.bundling import BUNDLERS, REWRITERS
from lightllm_evals.datasets.subjects import PARTS
from lightllm_evals.errors import ConfigError


def test_every_entry_is_whole() -> None:
    for owner in registry.data_sets():
        assert owner.home.startswith("https://")
        assert owner.licence
        for file in owner.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.path.startswith(f"{owner.name}/")
            assert not file.path.endswith(".gz")
            assert file.rows > 0


def test_names_and_paths_are_unique() -> None:
    names = [owner.name for owner in registry.data_sets()]
    paths = [file.path for owner in registry.data_sets() for file in owner.files]
    assert len(set(names)) == len(names)
    assert len(set(paths)) == len(paths)


def test_sources_name_steps_that_exist() -> None:
    sources = [
        (owner.name, file.source)
        for owner in registry.data_sets()
        for file in owner.files
        if file.source
    ]
    for name, source in sources:
        assert source.url.startswith("https://")
        assert not source.bundling or (source.bundling in BUNDLERS and name in PARTS)
        assert not source.rewriting or source.rewriting in REWRITERS
        assert ("{part}" in source.url + source.member) == bool(source.bundling)


def test_non_commercial_licences_are_flagged() -> None:
    flagged = {owner.name for owner in registry.data_sets() if owner.is_non_commercial}
    assert flagged == {o.name for o in registry.data_sets() if "-NC-" in o.licence}
    assert flagged == {"ceval", "cmmlu"}


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no data set 'gsm'; there are gsm8k, mbpp"):
        registry.data_set("gsm")


def test_the_registry_agrees_with_the_real_files(shared: Path) -> None:
    assert [state.message for state in overview.verify() if state.status != "ok"] == []
    manifest = json.loads((shared / "manifest.json").read_text(encoding="utf-8"))["files"]
    known = {file.path: file for owner in registry.data_sets() for file in owner.files}
    for entry in manifest:
        file = known[entry["file"].removesuffix(".gz")]
        assert file.sha256 == entry.get("content_sha256", entry["sha256"])
        assert file.rows == entry["rows"]


def test_the_real_files_have_as_many_rows_as_the_registry_says(shared: Path) -> None:
    for owner in registry.data_sets():
        for file in owner.files:
            if file.path.endswith(".jsonl"):
                assert len(storage.read_rows(file.path)) == file.rows, file.path
