"""DROP's exact match and F1 over bags of words.

Source: Dheeru Dua et al., 2019, https://arxiv.org/abs/1903.00161; the authors'
``drop_eval.py``, https://github.com/allenai/allennlp-reading-comprehension, and
lm-evaluation-harness 0.4.13, ``lm_eval/tasks/drop/utils.py``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from lightllm_evals.records import Sample

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class DropScore(NamedTuple):
    """Exact match (0 or 1) and F1 (0 to 1, two decimals, as the authors round it)."""

    exact_match: float
    f1: float


def answer_line(sample: Sample, text: str) -> str:
    """Returns the first line of a completion, stripped."""
    del sample
    return text.strip().split("\n", maxsplit=1)[0].strip()


def whole_answer(sample: Sample, text: str) -> str:
    """Returns the completion as the reference scores it: all of it."""
    del sample
    return text


def best_score(sample: Sample, answer: str) -> DropScore:
    """Returns the largest exact match and the largest F1 over the accepted answers.

    A prediction is one span, as every harness has it that predicts text: where the accepted
    answer has several, no text scores 1. Zero for both without accepted answers.
    """
    scores = [
        score_against([answer], target)
        for target in sample["answers"]
        if target and target[0].strip()
    ]
    return DropScore(
        max((score.exact_match for score in scores), default=0.0),
        max((score.f1 for score in scores), default=0.0),
    )


def score_against(predicted: Sequence[str], target: Sequence[str]) -> DropScore:
    """Returns the score of predicted spans against one accepted answer's spans."""
    ours, theirs = [_normalized(s) for s in predicted], [_normalized(s) for s in target]
    is_exact = set(ours) == set(theirs) and len(ours) == len(theirs)
    aligned = _aligned([set(s.split()) for s in ours], [set(s.split()) for s in theirs])
    return DropScore(float(is_exact), round(sum(aligned) / len(aligned), 2))


def _aligned(predicted: list[set[str]], target: list[set[str]]) -> list[float]:
    """Returns the F1 of each pair of the best one-to-one alignment, 0 for spans left over."""
    # Only this benchmark needs it: scipy takes half a second to import.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    table = [[_f1(bag, gold) for bag in predicted] for gold in target]
    rows, columns = linear_sum_assignment(table, maximize=True)
    found = [table[row][column] for row, column in zip(rows, columns, strict=True)]
    left_over = max(len(predicted), len(target)) - len(found)
    return found + [0.0] * left_over


def _f1(predicted: set[str], target: set[str]) -> float:
    numbers = set(filter(_is_number, target))
    if numbers and not numbers & predicted:
        return 0.0
    common = len(predicted & target)
    precision = common / len(predicted) if predicted else 1.0
    recall = common / len(target) if target else 1.0
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _normalized(span: str) -> str:
    words = (_normalized_word(word) for word in re.split(" |-", span))
    return " ".join(word for word in words if word.strip()).strip()


def _normalized_word(word: str) -> str:
    word = word.lower()
    if not _is_number(word):
        word = word.translate(_PUNCTUATION)
    if _is_number(word):
        word = str(float(word))
    return " ".join(_ARTICLES.sub(" ", word).split())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
