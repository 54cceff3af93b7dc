"""A user's own samples, from a JSON Lines file."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from lightllm_evals.datasets import storage
from lightllm_evals.errors import DatasetError, DatasetMissingError
from lightllm_evals.records import Sample


def jsonl(
    path: str | PathLike[str],
    *,
    id: str | None = None,  # noqa: A002  # it is what the field becomes
    group: str | None = None,
) -> Callable[[], list[Sample]]:
    """Returns a source of the samples in a JSON Lines file, one object a line.

    ``id`` and ``group`` name the fields that hold a sample's id and group; without ``id`` the
    number of the line's record, from 0, is its id. A name that ends in ``.gz`` is uncompressed.

    Raises (when the source is called):
        DatasetMissingError: There is no such file.
        DatasetError: A line cannot be read, or lacks a field.
    """

    def samples() -> list[Sample]:
        file = Path(path)
        if not file.is_file():
            raise DatasetMissingError(f"There is no file {file}: put the samples there.")
        rows = storage.parse_rows(storage.content_of(file), str(file))
        return [
            Sample(
                id=str(_field(row, id, index, file)) if id else str(index),
                fields=row,
                group=str(_field(row, group, index, file)) if group else "",
            )
            for index, row in enumerate(rows)
        ]

    return samples


def _field(row: dict[str, Any], name: str, index: int, file: Path) -> Any:
    if name not in row:
        raise DatasetError(f"{file}, record {index} has no field {name!r}; it has {sorted(row)}.")
    return row[name]
