"""BIG-Bench Hard's tasks and DROP's questions."""

from __future__ import annotations

import json

from lightllm_evals.datasets import storage
from lightllm_evals.records import Sample


def bbh() -> list[Sample]:
    """Returns the 6,511 items; ids are ``<task>/<row>``, groups are tasks.

    The field ``cot_prompt`` has the task's description and three worked examples, without the
    canary line and the rule below it, which are no part of the prompt.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    prompts: dict[str, str] = json.loads(storage.read_content("bbh/cot_prompts.json"))
    shown = {task: prompt.split("-----\n", maxsplit=1)[-1] for task, prompt in prompts.items()}
    samples = []
    rows_of: dict[str, int] = {}
    for row in storage.read_rows("bbh/bbh.jsonl"):
        task = row["task"]
        number = rows_of[task] = rows_of.get(task, -1) + 1
        fields = {**row, "cot_prompt": shown[task]}
        samples.append(Sample(id=f"{task}/{number}", fields=fields, group=task))
    return samples


def drop() -> list[Sample]:
    """Returns 1,000 questions of the validation split; ids are ``query_id``.

    The subset is that of the OLMES suite; ``answers`` has one list of spans for each accepted
    answer, the validated ones included.

    Raises:
        DatasetError: The data set is missing or is another one.
    """
    rows = storage.read_rows("drop/drop_validation_olmes1000.jsonl")
    return [Sample(id=row["query_id"], fields=row) for row in rows]
