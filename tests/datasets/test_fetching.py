from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.datasets import bundling, fetching, registry, storage
from lightllm_evals.datasets.sources import DataFile, Source
from lightllm_evals.datasets.subjects import PARTS
from lightllm_evals.errors import DatasetError

CONTENT = b'{"a": 1}\n'
URL = "https://example.org/tiny.jsonl"

Register = Callable[..., DataFile]


class Upstream:
    """Files by address, and the addresses asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, url: str, sha256: str, folder: Path) -> Path:
        self.asked.append(url)
        path = folder / url.rsplit("/", 1)[-1]
        path.write_bytes(self.files[url])
        return path


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def fetched(names: list[str], upstream: Upstream) -> list[Path]:
    return list(fetching.fetch(names, upstream))


def test_a_download_is_cached_and_not_repeated(folder: Path, register: Register) -> None:
    register(CONTENT, source=Source(url=URL))
    upstream = Upstream({URL: CONTENT})
    assert fetched(["tiny"], upstream) == [storage.cache_dir() / "tiny/test.jsonl"]
    fetched(["tiny"], upstream)
    assert upstream.asked == [URL]
    assert storage.read_content("tiny/test.jsonl") == CONTENT


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_member_of_an_archive_is_taken(
    folder: Path, register: Register, pack: Callable[[str, bytes], bytes]
) -> None:
    register(CONTENT, source=Source(url="https://example.org/x.bin", member="in/t.jsonl"))
    fetched(["tiny"], Upstream({"https://example.org/x.bin": pack("in/t.jsonl", CONTENT)}))
    assert storage.read_content("tiny/test.jsonl") == CONTENT


def test_a_compressed_download_is_uncompressed(folder: Path, register: Register) -> None:
    register(CONTENT, source=Source(url=f"{URL}.gz"))
    fetched(["tiny"], Upstream({f"{URL}.gz": gzip.compress(CONTENT)}))
    assert storage.read_content("tiny/test.jsonl") == CONTENT


def test_another_content_is_refused_and_not_kept(folder: Path, register: Register) -> None:
    file = register(CONTENT, source=Source(url=URL))
    with pytest.raises(DatasetError, match=file.sha256):
        fetched(["tiny"], Upstream({URL: b"moved"}))
    assert list(storage.cache_dir().rglob("*.jsonl")) == []


def test_an_archive_without_the_member_is_a_dataset_error(
    folder: Path, register: Register
) -> None:
    register(CONTENT, source=Source(url=URL, member="in/t.jsonl"))
    with pytest.raises(DatasetError, match=r"lacks in/t\.jsonl"):
        fetched(["tiny"], Upstream({URL: zipped("other", CONTENT)}))


def test_a_non_commercial_data_set_is_only_fetched_by_name(
    folder: Path, register: Register
) -> None:
    register(CONTENT, source=Source(url=URL), is_non_commercial=True)
    upstream = Upstream({URL: CONTENT})
    assert fetched([], upstream) == []
    assert upstream.asked == []
    assert len(fetched(["tiny"], upstream)) == 1


def test_a_data_set_without_an_address_is_passed_over_unless_named(
    folder: Path, register: Register
) -> None:
    register(CONTENT)
    assert fetched([], Upstream({})) == []
    with pytest.raises(DatasetError, match="no official address"):
        fetched(["tiny"], Upstream({}))


def test_one_dead_address_does_not_cost_the_other_data_sets(
    folder: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(CONTENT, source=Source(url=URL))
    (tiny,) = registry.data_sets()
    broken = [
        dataclasses.replace(
            tiny,
            name=name,
            files=(dataclasses.replace(tiny.files[0], path=f"{name}/test.jsonl", sha256="0"),),
        )
        for name in ("early", "late")
    ]
    monkeypatch.setattr(registry, "data_sets", lambda: (broken[0], tiny, broken[1]))
    with pytest.raises(DatasetError) as caught:
        fetched([], Upstream({URL: CONTENT}))
    assert len(str(caught.value).splitlines()) == 2
    assert (storage.cache_dir() / "tiny/test.jsonl").is_file()


@pytest.fixture
def site() -> Iterator[str]:
    """A real HTTP server that has one file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_there = self.path == "/tiny.jsonl"
            self.send_response(200 if is_there else 404)
            self.end_headers()
            self.wfile.write(CONTENT if is_there else b"")

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_real_download_is_checked(site: str, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path = fetching.download_file(f"{site}/tiny.jsonl", sha256, tmp_path)
    assert path.read_bytes() == CONTENT
    with pytest.raises(DatasetError, match="Cannot download"):
        fetching.download_file(f"{site}/tiny.jsonl", "0" * 64, tmp_path / "other")
    with pytest.raises(DatasetError, match="404"):
        fetching.download_file(f"{site}/nothing", "", tmp_path)


# Upstream's containers are rebuilt from the bundled files, so that bundling gives them back.


def by_part(rows: list[dict[str, Any]], field: str) -> dict[str, list[dict[str, Any]]]:
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        parts.setdefault(row[field], []).append(row)
    return parts


def as_csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("path", ["mmlu/dev.jsonl", "mmlu/test.jsonl"])
def test_mmlu_is_bundled_to_the_known_bytes(shared: Path, path: str) -> None:
    parts = {
        subject: as_csv([[r["question"], *r["choices"], "ABCD"[r["answer"]]] for r in rows])
        for subject, rows in by_part(storage.read_rows(path), "subject").items()
    }
    assert tuple(parts) == PARTS["mmlu"]
    assert bundling.bundle_mmlu(parts) == storage.read_content(path)


@pytest.mark.parametrize(
    "path", ["ceval/dev.jsonl", "ceval/val.jsonl", "cmmlu/dev.jsonl", "cmmlu/test.jsonl"]
)
def test_chinese_exams_are_bundled_to_the_known_bytes(shared: Path, path: str) -> None:
    rows_by_subject = by_part(storage.read_rows(path), "subject")
    parts = {}
    for subject, rows in rows_by_subject.items():
        names = [name for name in rows[0] if name not in {"subject", "id"}]
        table = [["", *names], *([row["id"], *(row[name] for name in names)] for row in rows)]
        parts[subject] = as_csv(table)
    assert tuple(parts) == PARTS[path.split("/", maxsplit=1)[0]]
    assert bundling.bundle_numbered(parts) == storage.read_content(path)


def test_bbh_is_bundled_to_the_known_bytes(shared: Path) -> None:
    canary = storage.read_content("bbh/canary.txt").decode().strip()
    parts = {
        task: json.dumps({"canary": canary, "examples": rows}).encode()
        for task, rows in by_part(storage.read_rows("bbh/bbh.jsonl"), "task").items()
    }
    assert tuple(parts) == PARTS["bbh"]
    assert bundling.bundle_bbh(parts) == storage.read_content("bbh/bbh.jsonl")
    assert bundling.bundle_bbh_canary(parts) == storage.read_content("bbh/canary.txt")
    prompts = json.loads(storage.read_content("bbh/cot_prompts.json"))
    assert bundling.bundle_bbh_prompts(
        {task: prompt.encode() for task, prompt in prompts.items()}
    ) == storage.read_content("bbh/cot_prompts.json")


def test_rewritten_rows_have_the_known_bytes(shared: Path) -> None:
    path = "winogrande/winogrande_xl_validation.jsonl"
    rows = [{"qID": "x", **row} for row in storage.read_rows(path)]
    assert bundling.drop_qid(rows) == storage.read_content(path)
    path = "boolq/superglue_boolq_val.jsonl"
    rows = [{**row, "label": row["label"] == "true"} for row in storage.read_rows(path)]
    assert bundling.string_labels(rows) == storage.read_content(path)


def test_every_opencompass_path_is_one_whose_bytes_are_the_same() -> None:
    listed = {f.opencompass for o in registry.data_sets() for f in o.files if f.opencompass}
    # Its HellaSwag, LAMBADA, MBPP, PIQA and WinoGrande files are other bytes.
    assert {path.split("/")[0] for path in listed} == {
        "ARC",
        "SuperGLUE",
        "commonsenseqa",
        "gsm8k",
        "openbookqa",
    }
