from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lightllm_evals.datasets import storage
from lightllm_evals.datasets.sources import DataFile, Source
from lightllm_evals.errors import ConfigError, DatasetError, DatasetMissingError

CONTENT = b'{"a": 1}\n\n{"a": "\xe2\x80\xa8"}\n'

Register = Callable[..., DataFile]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "where", ["tiny/test.jsonl", "tiny/test.jsonl.gz", "Tiny/t.jsonl", "data/Tiny/t.jsonl"]
)
def test_a_file_is_read_in_every_layout(folder: Path, register: Register, where: str) -> None:
    register(CONTENT, opencompass="Tiny/t.jsonl")
    put(folder / where, gzip.compress(CONTENT) if where.endswith("gz") else CONTENT)
    assert storage.read_rows("tiny/test.jsonl") == [{"a": 1}, {"a": "\u2028"}]


def test_the_cache_is_used_where_the_folder_has_nothing(folder: Path, register: Register) -> None:
    register(CONTENT)
    put(storage.cache_dir() / "tiny/test.jsonl", CONTENT)
    assert storage.read_content("tiny/test.jsonl") == CONTENT


def test_without_a_named_folder_only_the_cache_counts(
    folder: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = register(CONTENT)
    put(folder / "tiny/test.jsonl", CONTENT)
    monkeypatch.delenv(storage.ENVIRONMENT_VARIABLE)
    assert storage.locate(file) is None


def test_a_wrong_checksum_shows_both_sums(folder: Path, register: Register) -> None:
    file = register(CONTENT)
    put(folder / "tiny/test.jsonl", b"{}\n")
    with pytest.raises(DatasetError) as caught:
        storage.read_content("tiny/test.jsonl")
    assert file.sha256 in str(caught.value)
    assert hashlib.sha256(b"{}\n").hexdigest() in str(caught.value)
    assert not isinstance(caught.value, DatasetMissingError)


def test_a_missing_file_says_how_to_get_it(folder: Path, register: Register) -> None:
    register(CONTENT, source=Source(url="https://example.org/tiny.jsonl"))
    with pytest.raises(DatasetMissingError) as caught:
        storage.read_content("tiny/test.jsonl")
    assert str(caught.value) == (
        "Tiny (tiny/test.jsonl) is not on this machine: run 'lightllm-evals data fetch tiny' "
        "(MIT), or name a folder that has it with --lightllm-data-dir or LIGHTLLM_EVALS_DATA."
    )


def test_a_missing_file_without_an_address_promises_no_download(
    folder: Path, register: Register
) -> None:
    register(CONTENT)
    with pytest.raises(DatasetMissingError, match="no official address"):
        storage.read_content("tiny/test.jsonl")


def test_a_damaged_archive_is_a_dataset_error(folder: Path, register: Register) -> None:
    register(CONTENT)
    put(folder / "tiny/test.jsonl.gz", gzip.compress(CONTENT)[:-9])
    with pytest.raises(DatasetError, match=r"Cannot read .*test\.jsonl\.gz"):
        storage.read_content("tiny/test.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": 1}\n{"a"\n', "line 2 is not JSON"), (b"[1]\n", "line 1 must be a JSON object")],
)
def test_a_bad_line_is_named(content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        storage.parse_rows(content, "file")


def test_an_unknown_file_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no file 'nothing/here'"):
        storage.read_content("nothing/here")
