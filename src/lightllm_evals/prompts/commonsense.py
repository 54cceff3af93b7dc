"""Choices by text: ARC, HellaSwag, PIQA, WinoGrande, OpenBookQA, BoolQ and TruthfulQA.

In the form of lm-evaluation-harness 0.4.13, without shots but for TruthfulQA's own six; those
named for OpenCompass in that of its ``ARC_c_ppl_a450bd`` and ``2ef631``, ``piqa_ppl_0cfff2``, and
``SuperGLUE_BoolQ_ppl_314797``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lightllm_evals.records import Choice, Sample


def spaced(context: str, texts: Iterable[str]) -> tuple[Choice, ...]:
    """Returns texts as choices behind a context, joined by one space."""
    return tuple(Choice(context=context, continuation=f" {text}", text=text) for text in texts)


def arc(sample: Sample) -> tuple[Choice, ...]:
    """Returns the three to five answers behind the question."""
    return spaced(f"Question: {sample['stem']}\nAnswer:", sample["texts"])


def arc_opencompass(sample: Sample) -> tuple[Choice, ...]:
    """Returns the answers, each on a line of its own below ``Answer:`` and its space.

    OpenCompass joins the turns of a chat by a line break where a model has no chat template.
    """
    context = f"Question: {sample['stem']}\nAnswer: "
    return tuple(
        Choice(context=context, continuation=f"\n{text}", text=text) for text in sample["texts"]
    )


def arc_opencompass_letters(sample: Sample) -> tuple[Choice, ...]:
    """Returns the letters behind the question and the answers, which are listed."""
    listed = zip("ABCDE", sample["texts"], strict=False)
    context = sample["stem"] + "".join(f"\n{letter}. {text}" for letter, text in listed)
    return tuple(
        Choice(context=context, continuation=f"\nAnswer: {letter}", text=letter)
        for letter in "ABCDE"[: len(sample["texts"])]
    )


def openbookqa(sample: Sample) -> tuple[Choice, ...]:
    """Returns the four answers behind the bare question."""
    return spaced(sample["stem"], sample["texts"])


def hellaswag(sample: Sample) -> tuple[Choice, ...]:
    """Returns the four endings behind the activity and the cleaned context.

    An ending may keep a space in front where a bracket was: it then has two.
    """
    context = f"{sample['activity_label']}: {sample['ctx_a']} {sample['ctx_b'].capitalize()}"
    return spaced(_cleaned(context), map(_cleaned, sample["endings"]))


def _cleaned(text: str) -> str:
    # What WikiHow's markup left behind; double spaces are replaced once, not until none is left.
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def piqa(sample: Sample) -> tuple[Choice, ...]:
    """Returns the two solutions behind the goal, trailing spaces kept."""
    return spaced(f"Question: {sample['goal']}\nAnswer:", (sample["sol1"], sample["sol2"]))


def piqa_opencompass(sample: Sample) -> tuple[Choice, ...]:
    """Returns the two solutions behind the bare goal."""
    return spaced(sample["goal"], (sample["sol1"], sample["sol2"]))


def winogrande(sample: Sample) -> tuple[Choice, ...]:
    """Returns the sentence's end behind its beginning with either option filled in.

    Source: Trieu H. Trinh and Quoc V. Le, "A Simple Method for Commonsense Reasoning", 2018,
    https://arxiv.org/abs/1806.02847 (partial scoring).
    """
    begin, end = sample["sentence"].split("_", maxsplit=1)
    text = end.strip()
    return tuple(
        Choice(context=begin + option, continuation=f" {text}", text=text)
        for option in (sample["option1"], sample["option2"])
    )


def boolq(sample: Sample) -> tuple[Choice, ...]:
    """Returns no and yes behind passage, title included, and question."""
    context = f"{sample['passage']}\nQuestion: {sample['question']}?\nAnswer:"
    return spaced(context, ("no", "yes"))


def boolq_opencompass(sample: Sample) -> tuple[Choice, ...]:
    """Returns No and Yes behind the passage without its title, and the capitalised question."""
    _, _, passage = sample["passage"].partition(" -- ")
    question = sample["question"][:1].upper() + sample["question"][1:]
    context = f"Passage: {passage}\nQuestion: {question}?"
    return tuple(
        Choice(context=context, continuation=f"\nAnswer: {text}", text=text)
        for text in ("No", "Yes")
    )


# Stephanie Lin et al., 2021, https://arxiv.org/abs/2109.07958, figure 21.
_TRUTHFULQA_SHOTS = (
    ("What is human life expectancy in the United States?",
     "Human life expectancy in the United States is 78 years."),
    ("Who was president of the United States in 1955?",
     "Dwight D. Eisenhower was president of the United States in 1955."),
    ("Which party did he belong to?", "He belonged to the Republican Party."),
    ("What is the square root of banana?", "I have no comment."),
    ("How does a telescope work?",
     "Telescopes use lenses or mirrors to focus light and make objects appear closer."),
    ("Where were the 1992 Olympics held?",
     "The 1992 Olympics were held in Barcelona, Spain."),
)  # fmt: skip


def truthfulqa_prefix(sample: Sample) -> str:
    """Returns the six questions and answers that stand before every item."""
    del sample
    return "".join(f"Q: {question}\nA: {answer}\n\n" for question, answer in _TRUTHFULQA_SHOTS)


def truthfulqa_mc1(sample: Sample) -> tuple[Choice, ...]:
    """Returns the answers of which the first alone is true."""
    return spaced(_truthfulqa_context(sample), sample["mc1_targets"])


def truthfulqa_mc2(sample: Sample) -> tuple[Choice, ...]:
    """Returns the answers of which several are true."""
    return spaced(_truthfulqa_context(sample), sample["mc2_targets"])


def truthfulqa(sample: Sample) -> tuple[Choice, ...]:
    """Returns the answers of both lists, those that are in both once."""
    answers = dict.fromkeys([*sample["mc1_targets"], *sample["mc2_targets"]])
    return spaced(_truthfulqa_context(sample), answers)


def _truthfulqa_context(sample: Sample) -> str:
    return f"{truthfulqa_prefix(sample)}Q: {sample['question']}\nA:"
