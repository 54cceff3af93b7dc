"""Which choice is the right one, by data set."""

from __future__ import annotations

from lightllm_evals.records import Sample


def index_target(sample: Sample) -> int:
    """Returns ``target``: ARC, OpenBookQA and CommonsenseQA, whose labels are looked up."""
    return int(sample["target"])


def answer_index(sample: Sample) -> int:
    """Returns ``answer``, an index: MMLU."""
    return int(sample["answer"])


def answer_letter(sample: Sample) -> int:
    """Returns the place of the letter ``answer``: C-Eval and CMMLU."""
    return "ABCD".index(sample["answer"])


def label(sample: Sample) -> int:
    """Returns ``label``, an index: HellaSwag and PIQA."""
    return int(sample["label"])


def option_number(sample: Sample) -> int:
    """Returns ``answer``, "1" or "2", as an index: WinoGrande."""
    return int(sample["answer"]) - 1


def boolean(sample: Sample) -> int:
    """Returns 1 for the label "true", 0 for "false": BoolQ, whose choices are no and yes."""
    return ("false", "true").index(sample["label"])


def truth_labels(sample: Sample) -> list[int]:
    """Returns 1 for each true and 0 for each false answer: TruthfulQA's mc2."""
    return list(sample["mc2_targets"].values())
