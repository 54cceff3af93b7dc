"""The few-shot texts of OLMES, which forms read only where they are in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lightllm_evals.datasets import storage


def olmes_shots(task: str) -> Callable[[], str]:
    """Returns a function that reads a task's five lettered questions with their answers.

    Raises (when the function is called):
        DatasetMissingError: The file is not on this machine.
        DatasetError: It is another one.
    """

    def shots() -> str:
        return _read(task, storage.data_dir())

    return shots


@cache
def _read(task: str, folder: Path | None) -> str:
    # Every sample of a form asks for it, and the file is read from this folder.
    del folder
    found = json.loads(storage.read_content("olmes_fewshot/olmes_5shot_prefixes.json"))
    return str(found[task]["mc"]["prefix"])
