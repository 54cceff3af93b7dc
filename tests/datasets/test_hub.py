"""Downloads through Hugging Face's client; a fake one, since tests have no network."""

from __future__ import annotations

import hashlib
import importlib.machinery
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightllm_evals.datasets import fetching, hub, registry
from lightllm_evals.errors import DatasetError

URL = "https://huggingface.co/datasets/ceval/ceval-exam/resolve/main/ceval-exam.zip"
CONTENT = b"packed"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Install = Callable[[Callable[..., str]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def put(download: Callable[..., str]) -> None:
        module = ModuleType("huggingface_hub")
        module.__spec__ = importlib.machinery.ModuleSpec("huggingface_hub", None)
        module.hf_hub_download = download  # type: ignore[attr-defined]  # made here
        monkeypatch.setitem(sys.modules, "huggingface_hub", module)

    return put


def client(asked: list[Any]) -> Callable[..., str]:
    def download(
        repo_id: str, filename: str, *, repo_type: str, revision: str, local_dir: str
    ) -> str:
        asked.append((repo_id, filename, repo_type, revision))
        path = Path(local_dir) / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return str(path)

    return download


def test_an_address_of_the_hub_goes_through_its_client(install: Install, tmp_path: Path) -> None:
    asked: list[Any] = []
    install(client(asked))
    path = fetching.download_file(URL, SHA256, tmp_path)
    assert path.read_bytes() == CONTENT
    assert asked == [("ceval/ceval-exam", "ceval-exam.zip", "dataset", "main")]


def test_another_checksum_is_refused_and_shows_both(install: Install, tmp_path: Path) -> None:
    install(client([]))
    with pytest.raises(DatasetError, match=f"sha256 {SHA256}, expected 00"):
        fetching.download_file(URL, "00", tmp_path)


def test_a_failure_of_the_client_is_one_sentence(install: Install, tmp_path: Path) -> None:
    def fail(*args: Any, **options: Any) -> str:
        raise FileNotFoundError("cannot be reached.\nA long explanation")

    install(fail)
    with pytest.raises(DatasetError, match=r"by huggingface_hub: cannot be reached\.$"):
        fetching.download_file(URL, SHA256, tmp_path)


def test_other_addresses_and_other_machines_do_without(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(client([]))
    assert hub.is_ours(URL)
    assert not hub.is_ours("https://huggingface.co/datasets/ceval/ceval-exam")
    assert not hub.is_ours("https://example.org/datasets/a/b/resolve/main/c.zip")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not hub.is_ours(URL)


def test_the_registry_has_addresses_of_the_hub(install: Install) -> None:
    install(client([]))
    sources = [file.source for owner in registry.data_sets() for file in owner.files]
    assert {source.url for source in sources if source and hub.is_ours(source.url)} == {
        URL,
        "https://huggingface.co/datasets/ggml-org/ci/resolve/main/wikitext-2-raw-v1.zip",
    }
