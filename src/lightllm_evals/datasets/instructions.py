"""IFEval's prompts."""

from __future__ import annotations

from lightllm_evals.datasets import storage
from lightllm_evals.records import Sample


def ifeval() -> list[Sample]:
    """Returns the 541 prompts; ids are ``key``.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("ifeval/input_data.jsonl")
    return [Sample(id=str(row["key"]), fields=row) for row in rows]
