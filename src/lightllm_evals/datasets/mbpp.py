"""MBPP's problems: the full test split and the sanitized one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lightllm_evals.datasets import storage
from lightllm_evals.errors import DatasetError
from lightllm_evals.records import Sample

# https://arxiv.org/abs/2108.07732, section 2: 11-510 are for testing, 1-10 for prompts, of
# which the paper (and every harness since) shows 2, 3 and 4.
_TEST_IDS = range(11, 511)
_SHOT_IDS = (2, 3, 4)


def mbpp() -> list[Sample]:
    """Returns the 500 problems of the test split; ids are ``task_id``, as in ``11``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return test_split(storage.read_rows("mbpp/mbpp.jsonl"))


def mbpp_sanitized() -> list[Sample]:
    """Returns the 257 problems of the sanitized test split; ids are ``task_id``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return test_split(json.loads(storage.read_content("mbpp/sanitized-mbpp.json")))


def test_split(rows: Iterable[Mapping[str, Any]]) -> list[Sample]:
    """Returns the test problems, each with the three shown ones as its field ``shots``.

    Raises:
        DatasetError: One of the shots is not there.
    """
    by_id = {row["task_id"]: row for row in rows}
    shots = tuple(by_id[task] for task in _SHOT_IDS if task in by_id)
    if not shots:
        raise DatasetError(f"The problems have none of the shots {_SHOT_IDS}.")
    return [
        Sample(id=str(task), fields={**row, "shots": shots})
        for task, row in by_id.items()
        if task in _TEST_IDS
    ]
