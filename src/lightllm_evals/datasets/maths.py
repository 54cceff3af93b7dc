"""GSM8K's and MATH-500's problems."""

from __future__ import annotations

from lightllm_evals.datasets import storage
from lightllm_evals.datasets.sampling import seeded_shots
from lightllm_evals.records import Sample

_GSM8K_SHOTS = 5


def gsm8k() -> list[Sample]:
    """Returns the 1,319 test problems; ids are row numbers, for GSM8K has none of its own.

    The field ``shots`` has five problems of the train split, drawn for each item as
    lm-evaluation-harness draws them.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("gsm8k/test.jsonl")
    shots = seeded_shots(storage.read_rows("gsm8k/train.jsonl"), len(rows), _GSM8K_SHOTS)
    return [
        Sample(id=str(index), fields={**row, "shots": own})
        for index, (row, own) in enumerate(zip(rows, shots, strict=True))
    ]


def math500() -> list[Sample]:
    """Returns the 500 problems; ids are ``unique_id``, groups are subjects.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("math500/test.jsonl")
    return [Sample(id=row["unique_id"], fields=row, group=row["subject"]) for row in rows]
