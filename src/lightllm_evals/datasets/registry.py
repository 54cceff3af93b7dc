"""Every data set that a page uses: address, checksum, licence, layout; read from a table."""

from __future__ import annotations

import sys
from functools import cache
from importlib import resources
from typing import Any

from lightllm_evals.datasets.sources import DataFile, DataSet, Source
from lightllm_evals.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def data_sets() -> tuple[DataSet, ...]:
    """Returns all data sets in the table's order."""
    table = resources.files("lightllm_evals.datasets") / "registry.toml"
    entries = tomllib.loads(table.read_text(encoding="utf-8"))["data_set"]
    return tuple(_data_set(entry) for entry in entries)


def data_set(name: str) -> DataSet:
    """Returns the data set of that name.

    Raises:
        ConfigError: There is none.
    """
    for candidate in data_sets():
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in data_sets())
    raise ConfigError(f"There is no data set {name!r}; there are {names}.")


def data_file(path: str) -> tuple[DataSet, DataFile]:
    """Returns the data set and the file that has ``path`` in a data folder.

    Raises:
        ConfigError: There is none.
    """
    for owner in data_sets():
        for file in owner.files:
            if file.path == path:
                return owner, file
    raise ConfigError(f"The registry of data sets has no file {path!r}.")


def _data_set(entry: dict[str, Any]) -> DataSet:
    files = tuple(_data_file(file) for file in entry.pop("file"))
    return DataSet(**entry, files=files)


def _data_file(entry: dict[str, Any]) -> DataFile:
    source = entry.pop("source", None)
    return DataFile(**entry, source=Source(**source) if source else None)
