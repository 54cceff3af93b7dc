"""ARC, HellaSwag, PIQA, WinoGrande, OpenBookQA and BoolQ."""

from __future__ import annotations

from lightllm_evals.datasets import storage
from lightllm_evals.datasets.knowledge import with_choices
from lightllm_evals.records import Sample


def _numbered(path: str) -> list[Sample]:
    rows = storage.read_rows(path)
    return [Sample(id=str(index), fields=row) for index, row in enumerate(rows)]


def arc_challenge() -> list[Sample]:
    """Returns the 1,172 test questions of the challenge set; ids are ``id``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return with_choices(storage.read_rows("arc/ARC-Challenge-Test.jsonl"))


def arc_easy() -> list[Sample]:
    """Returns the 2,376 test questions of the easy set; ids are ``id``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return with_choices(storage.read_rows("arc/ARC-Easy-Test.jsonl"))


def hellaswag() -> list[Sample]:
    """Returns the 10,042 validation items; ids are row numbers, for ``ind`` is not unique.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return _numbered("hellaswag/hellaswag_val.jsonl")


def piqa() -> list[Sample]:
    """Returns the 1,838 validation items with their ``label``; ids are row numbers.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("piqa/valid.jsonl")
    labels = storage.read_content("piqa/valid-labels.lst").decode("utf-8").split()
    return [
        Sample(id=str(index), fields={**row, "label": int(label)})
        for index, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]


def winogrande() -> list[Sample]:
    """Returns the 1,267 validation items; ids are row numbers, mirrors having no ``qID``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return _numbered("winogrande/winogrande_xl_validation.jsonl")


def openbookqa() -> list[Sample]:
    """Returns the 500 test questions; ids are ``id``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    return with_choices(storage.read_rows("openbookqa/test.jsonl"))


def boolq() -> list[Sample]:
    """Returns SuperGLUE's 3,270 validation questions; ids are ``idx``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("boolq/superglue_boolq_val.jsonl")
    return [Sample(id=str(row["idx"]), fields=row) for row in rows]
