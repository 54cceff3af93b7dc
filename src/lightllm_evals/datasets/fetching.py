"""Downloads data sets into the user's cache: only when asked to, only what checksums confirm."""

from __future__ import annotations

import functools
import hashlib
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lightllm_evals.datasets import hub, registry, storage
from lightllm_evals.datasets.bundling import BUNDLERS, REWRITERS
from lightllm_evals.datasets.sources import DataFile, DataSet, Source
from lightllm_evals.datasets.subjects import PARTS
from lightllm_evals.errors import DatasetError

Download = Callable[[str, str, Path], Path]
"""Downloads an address into a folder and returns the file; checks a sha256 that is not ""."""

_Local = Callable[[str, str], Path]


def fetch(names: Sequence[str] = (), download: Download | None = None) -> Iterator[Path]:
    """Yields the cached files of the named data sets, downloading those that are not there.

    Without names: of all data sets that may be used commercially and have an address. A data
    set with a non-commercial licence is only downloaded when it is named.

    Raises:
        ConfigError: A name is unknown.
        DatasetError: A download failed, or its content has another checksum than expected; only
            when all other data sets are here, with a line for each that is not.
    """
    chosen = [registry.data_set(name) for name in names] or _commercial()
    with tempfile.TemporaryDirectory() as folder:
        # One archive holds several files: ask for each address once.
        local = functools.cache(
            functools.partial(_downloaded, download or download_file, Path(folder))
        )
        failures = []
        for owner in chosen:
            try:
                for file in owner.files:
                    if names or file.source is not None:
                        yield _fetched(owner, file, local)
            except DatasetError as error:
                failures.append(str(error))
    if failures:
        raise DatasetError("\n".join(failures))


def _commercial() -> list[DataSet]:
    return [owner for owner in registry.data_sets() if not owner.is_non_commercial]


def _downloaded(download: Download, folder: Path, url: str, sha256: str) -> Path:
    own = folder / hashlib.sha256(url.encode()).hexdigest()
    own.mkdir()
    return download(url, sha256, own)


def _fetched(owner: DataSet, file: DataFile, local: _Local) -> Path:
    path = storage.cache_dir() / file.path
    if path.is_file():
        storage.check_sum(file, storage.content_of(path), str(path))
        return path
    if file.source is None:
        raise DatasetError(storage.missing_message(owner, file))
    content = _content(owner, file.source, local)
    storage.check_sum(file, content, f"What {file.source.url} holds")
    _write(path, content)
    return path


def _content(owner: DataSet, source: Source, local: _Local) -> bytes:
    if source.bundling:
        parts = {name: _part(source, name, local) for name in PARTS[owner.name]}
        return BUNDLERS[source.bundling](parts)
    content = _part(source, "", local)
    if source.rewriting:
        return REWRITERS[source.rewriting](storage.parse_rows(content, source.url))
    return content


def _part(source: Source, name: str, local: _Local) -> bytes:
    path = local(source.url.format(part=name), source.archive_sha256)
    if source.member:
        return extract_member(path, source.member.format(part=name))
    return storage.content_of(path)


def extract_member(archive: Path, member: str) -> bytes:
    """Returns one file of a zip or tar archive.

    Raises:
        DatasetError: The archive cannot be read or has no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                return packed.read(member)
        with tarfile.open(archive) as packed_tar:
            file = packed_tar.extractfile(member)
            return file.read() if file else b""
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DatasetError(f"The archive {archive.name} lacks {member}: {error}.") from error


def download_file(url: str, sha256: str, folder: Path) -> Path:
    """Downloads an address and returns the file, named as upstream names it.

    By pooch; a Hugging Face data set by its own client, where that is installed.

    Raises:
        DatasetError: It cannot be had, or has another checksum.
    """
    if hub.is_ours(url):
        return hub.download(url, sha256, folder)
    # Only downloads need them: together a quarter of a second.
    import pooch  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types
    import requests  # noqa: PLC0415

    known_hash = f"sha256:{sha256}" if sha256 else None
    name = url.rsplit("/", 1)[-1]
    try:
        return Path(pooch.retrieve(url, known_hash=known_hash, fname=name, path=folder))
    except (requests.RequestException, OSError, ValueError) as error:
        raise DatasetError(f"Cannot download {url}: {error}.") from error


def _write(path: Path, content: bytes) -> None:
    # Written aside and moved: an interrupted download must not look like a data set.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)
