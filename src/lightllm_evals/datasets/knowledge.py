"""MMLU, C-Eval, CMMLU, CommonsenseQA and TruthfulQA."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lightllm_evals.datasets import storage
from lightllm_evals.datasets.subjects import CEVAL_NAMES, CMMLU_NAMES
from lightllm_evals.records import Sample

Rows = Iterable[Mapping[str, Any]]

_NUM_SHOTS = 5


def mmlu() -> list[Sample]:
    """Returns the 14,042 test questions; ids are ``<subject>/<row>``, groups are subjects.

    The field ``shots`` has the subject's first five questions of the dev split.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return _exam(storage.read_rows("mmlu/test.jsonl"), storage.read_rows("mmlu/dev.jsonl"), {})


def ceval() -> list[Sample]:
    """Returns the 1,346 validation questions; ids and shots as MMLU's.

    The field ``name`` has the subject's Chinese name. The test split's answers are not public.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows, shots = storage.read_rows("ceval/val.jsonl"), storage.read_rows("ceval/dev.jsonl")
    return _exam(rows, shots, CEVAL_NAMES)


def cmmlu() -> list[Sample]:
    """Returns the 11,582 test questions; ids, shots and ``name`` as C-Eval's.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows, shots = storage.read_rows("cmmlu/test.jsonl"), storage.read_rows("cmmlu/dev.jsonl")
    # C-Eval's spelling of the fields, so that both have the same prompts.
    return _exam(map(_lower_case, rows), map(_lower_case, shots), CMMLU_NAMES)


def _lower_case(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name if len(name) == 1 else name.lower(): value for name, value in row.items()}


def _exam(rows: Rows, dev_rows: Rows, names: Mapping[str, str]) -> list[Sample]:
    shots: dict[str, list[Mapping[str, Any]]] = {}
    for row in dev_rows:
        shots.setdefault(row["subject"], []).append(row)
    samples = []
    number_of: dict[str, int] = {}
    for row in rows:
        subject = row["subject"]
        number = number_of[subject] = number_of.get(subject, -1) + 1
        fields = {**row, "shots": tuple(shots[subject][:_NUM_SHOTS])}
        if names:
            fields["name"] = names[subject]
        samples.append(Sample(id=f"{subject}/{number}", fields=fields, group=subject))
    return samples


def commonsenseqa() -> list[Sample]:
    """Returns the 1,221 validation questions; ids are ``id``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return with_choices(storage.read_rows("commonsenseqa/dev_rand_split.jsonl"))


def with_choices(rows: Rows) -> list[Sample]:
    """Returns samples of AI2's format with ``stem``, ``texts`` and ``target`` (an index)."""
    samples = []
    for row in rows:
        question = row["question"]
        labels = [choice["label"] for choice in question["choices"]]
        fields = {
            "stem": question["stem"],
            "texts": tuple(choice["text"] for choice in question["choices"]),
            # Labels are letters or digits: what counts is the place.
            "target": labels.index(row["answerKey"].strip()),
        }
        samples.append(Sample(id=str(row["id"]), fields=fields))
    return samples


def truthfulqa() -> list[Sample]:
    """Returns the 817 questions of the 2021 version; ids are row numbers.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = json.loads(storage.read_content("truthfulqa/mc_task.json"))
    return [Sample(id=str(index), fields=row) for index, row in enumerate(rows)]
