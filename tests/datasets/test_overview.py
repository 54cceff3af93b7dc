from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lightllm_evals.commands.cli import main
from lightllm_evals.datasets import overview, storage
from lightllm_evals.datasets.sources import DataFile

Register = Callable[..., DataFile]


def test_verify_tells_missing_from_wrong_from_right(folder: Path, register: Register) -> None:
    register(b"{}\n")
    (state,) = overview.verify()
    assert (state.status, state.location) == ("missing", None)
    assert "--lightllm-data-dir" in state.message
    path = storage.cache_dir() / "tiny/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    (state,) = overview.verify(["tiny"])
    assert (state.status, state.location) == ("wrong", path)
    path.write_bytes(b"{}\n")
    assert [(s.status, s.message) for s in overview.verify()] == [("ok", "")]


def test_the_command_fails_where_a_named_set_is_missing(
    folder: Path, register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register(b"{}\n")
    assert main(["data", "verify"]) == 0
    assert main(["data", "verify", "tiny"]) == 1
    assert capsys.readouterr().out.count("missing") == 2
    path = storage.cache_dir() / "tiny/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}\n")
    assert main(["data", "verify", "tiny"]) == 0


def test_listing_shows_licences_and_what_is_here(folder: Path, register: Register) -> None:
    register(b"{}\n", is_non_commercial=True)
    assert overview.listing() == (
        "name  here  rows  licence               home\n"
        "tiny  0/1   1     MIT (non-commercial)  https://example.org/tiny"
    )
