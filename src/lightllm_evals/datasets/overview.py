"""What ``lightllm-evals data list`` and ``data verify`` say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightllm_evals.datasets import registry, storage
from lightllm_evals.datasets.sources import DataSet
from lightllm_evals.errors import DatasetError

Status = Literal["ok", "missing", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One file of a data set on this machine.

    Attributes:
        data_set: Name of its data set.
        path: Its path in a data folder.
        status: "wrong" for unreadable or another checksum.
        location: Where it is, None where it is not.
        message: What to do, "" where nothing is.
    """

    data_set: str
    path: str
    status: Status
    location: Path | None = None
    message: str = ""


def verify(names: Sequence[str] = ()) -> list[FileState]:
    """Returns the state of every file of the named data sets, of all without names.

    Raises:
        ConfigError: A name is unknown.
    """
    chosen = [registry.data_set(name) for name in names] or registry.data_sets()
    return [_state(owner, path) for owner in chosen for path in (f.path for f in owner.files)]


def _state(owner: DataSet, path: str) -> FileState:
    _, file = registry.data_file(path)
    location = storage.locate(file)
    if location is None:
        message = storage.missing_message(owner, file)
        return FileState(data_set=owner.name, path=path, status="missing", message=message)
    try:
        storage.check_sum(file, storage.content_of(location), str(location))
    except DatasetError as error:
        return FileState(
            data_set=owner.name,
            path=path,
            status="wrong",
            location=location,
            message=str(error),
        )
    return FileState(data_set=owner.name, path=path, status="ok", location=location)


def listing() -> str:
    """Returns a table of all data sets: name, files here, samples, licence, address."""
    rows = [("name", "here", "rows", "licence", "home")]
    rows += [_row(owner) for owner in registry.data_sets()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(row[c].ljust(widths[c]) for c in range(4)), row[4]]).rstrip() for row in rows
    ]
    return "\n".join(lines)


def _row(owner: DataSet) -> tuple[str, str, str, str, str]:
    here = sum(storage.locate(file) is not None for file in owner.files)
    rows = sum(file.rows for file in owner.files)
    licence = f"{owner.licence} (non-commercial)" if owner.is_non_commercial else owner.licence
    return (owner.name, f"{here}/{len(owner.files)}", str(rows), licence, owner.home)
