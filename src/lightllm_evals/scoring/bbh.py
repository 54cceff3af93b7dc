"""BIG-Bench Hard answers.

OpenCompass's reading: ``opencompass/datasets/bbh.py`` of
https://github.com/open-compass/opencompass; the reference's: lm-evaluation-harness 0.4.13,
``bbh_cot_fewshot``, which drops the last character of the line whatever it is.
"""

from __future__ import annotations

import re

from lightllm_evals.records import Sample

# The tasks whose answers are options or one letter; of the others the answer is free text.
MULTIPLE_CHOICE = frozenset(
    (
        "date_understanding",
        "disambiguation_qa",
        "geometric_shapes",
        "hyperbaton",
        "logical_deduction_five_objects",
        "logical_deduction_seven_objects",
        "logical_deduction_three_objects",
        "movie_recommendation",
        "penguins_in_a_table",
        "reasoning_about_colored_objects",
        "ruin_names",
        "salient_translation_error_detection",
        "snarks",
        "temporal_sequences",
        "tracking_shuffled_objects_five_objects",
        "tracking_shuffled_objects_seven_objects",
        "tracking_shuffled_objects_three_objects",
    )
)

_REFERENCE = re.compile(r"(?<=the answer is )(.*)(?=.)")
_OPTION = re.compile(r"\(([A-Z])\)*")
_LETTER = re.compile(r"([A-Z])")
_ANSWER_IS = re.compile(r"answer is\s*:?\s*", re.IGNORECASE)
_BOLD = re.compile(r"\*\*(.*?)\*\*")
_WORD = re.compile(r"(yes|no|true|false)\b", re.IGNORECASE)


def opencompass_answer(sample: Sample, text: str) -> str:
    """Returns the option or the free-form answer, "" where nothing can be one.

    It has the target's own spelling where OpenCompass takes the two for equal, so that the
    target is what to compare it with.
    """
    target = str(sample["target"])
    if sample["task"] in MULTIPLE_CHOICE:
        answer = _choice(text)
        return target if answer and answer == _choice(target) else answer or _said(text, target)
    answer = _free_form(text)
    return target if answer.casefold() == _free_form(target).casefold() else answer


def _choice(text: str) -> str:
    found = _OPTION.search(_after_answer_is(text)) or _LETTER.search(_after_answer_is(text))
    return found.group(1) if found else ""


def _after_answer_is(text: str) -> str:
    parts = text.split("answer is ")
    return parts[1].strip() if len(parts) > 1 else text


def _said(text: str, target: str) -> str:
    # OpenCompass compares whole texts where no capital letter is. That is an answer only for
    # ruin_names/99 and 144, whose targets are no options.
    return target if _after_answer_is(text) == target else ""


def _free_form(text: str) -> str:
    answer = _ANSWER_IS.split(text)[-1].strip().split("\n", maxsplit=1)[0].strip()
    if answer.endswith("."):
        answer = answer[:-1].strip()
    if bold := _BOLD.search(answer):
        answer = bold.group(1).strip()
    if word := _WORD.match(answer):
        return word.group(1).capitalize()
    if not re.search(r"\d\s*,\s*\d", answer):
        answer = re.sub(r"\s*,\s*", " ", answer)
    return re.sub(r"\s+", " ", answer).strip()


def reference_answer(sample: Sample, text: str) -> str:
    """Returns what follows "the answer is ", without the line's last character; "" if none."""
    del sample
    found = _REFERENCE.search(text)
    return found.group(1) if found else ""


def is_exact_match(sample: Sample, answer: str) -> bool:
    """Returns whether an answer is the target, byte for byte."""
    return answer == str(sample["target"])
