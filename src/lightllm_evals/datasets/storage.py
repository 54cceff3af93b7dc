"""Finds data files on this machine and reads them, checked against their checksums.

Looked for, in this order: the folder that ``LIGHTLLM_EVALS_DATA`` names (the plugin sets it
from ``--lightllm-data-dir``), in our layout or OpenCompass's; then the user's cache, which
``lightllm-evals data fetch`` fills. Nothing here downloads.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightllm_evals.datasets import registry
from lightllm_evals.datasets.sources import DataFile, DataSet
from lightllm_evals.errors import DatasetError, DatasetMissingError

ENVIRONMENT_VARIABLE = "LIGHTLLM_EVALS_DATA"


def cache_dir() -> Path:
    """Returns the folder that downloads go to; it need not exist."""
    # Every process collects, and few of them look there.
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_cache_path("lightllm-evals") / "datasets"


def data_dir() -> Path | None:
    """Returns the folder that the environment names, None where it names none."""
    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    return Path(named).expanduser() if named else None


def locate(file: DataFile) -> Path | None:
    """Returns where a file is on this machine, None where it is not."""
    return next((path for path in _candidates(file) if path.is_file()), None)


def _candidates(file: DataFile) -> Iterator[Path]:
    named = data_dir()
    if named is not None:
        yield named / file.path
        yield named / f"{file.path}.gz"
        if file.opencompass:
            yield named / file.opencompass
            # The folder that the bundle was unpacked in, too.
            yield named / "data" / file.opencompass
    yield cache_dir() / file.path


def read_content(path: str) -> bytes:
    """Returns the uncompressed content of the registry's file ``path``.

    Raises:
        DatasetMissingError: It is not on this machine.
        DatasetError: It is, but unreadable or with another checksum.
    """
    owner, file = registry.data_file(path)
    found = locate(file)
    if found is None:
        raise DatasetMissingError(missing_message(owner, file))
    content = content_of(found)
    check_sum(file, content, str(found))
    return content


def content_of(path: Path) -> bytes:
    """Returns what a file holds, uncompressed if its name ends in ``.gz``.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"Cannot read {path}: {error}. Replace the file.") from error


def check_sum(file: DataFile, content: bytes, where: str) -> None:
    """Compares a content with the registry's checksum.

    Raises:
        DatasetError: They differ; shows both.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DatasetError(
            f"{where} is not the {file.path} that scores are defined on: its content has "
            f"sha256 {found}, expected {file.sha256}. Replace the file, or remove it and run "
            "'lightllm-evals data fetch'."
        )


def missing_message(owner: DataSet, file: DataFile) -> str:
    """Returns the sentence that says how to get a missing file."""
    how = f"run 'lightllm-evals data fetch {owner.name}' ({owner.licence}), or "
    if file.source is None:
        how = "no official address has it as one file, so "
    return (
        f"{owner.title} ({file.path}) is not on this machine: {how}name a folder that has it "
        f"with --lightllm-data-dir or {ENVIRONMENT_VARIABLE}."
    )


def read_rows(path: str) -> list[dict[str, Any]]:
    """Returns the records of the registry's JSON Lines file ``path``, in its order.

    Raises:
        DatasetError: As ``read_content``.
    """
    return parse_rows(read_content(path), path)


def parse_rows(content: bytes, where: str) -> list[dict[str, Any]]:
    """Returns the records of JSON Lines; empty lines are skipped.

    Raises:
        DatasetError: A line is no JSON object; names the line.
    """
    rows: list[dict[str, Any]] = []
    # Not splitlines(): a JSON string may hold U+2028 and its kind unescaped.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{where}, line {number} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DatasetError(f"{where}, line {number} must be a JSON object, as {{...}}.")
        rows.append(row)
    return rows
