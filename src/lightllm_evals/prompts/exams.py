"""Exam questions with lettered choices: MMLU, C-Eval, CMMLU and CommonsenseQA.

Reference forms: lm-evaluation-harness 0.4.13, tasks ``mmlu``, ``ceval-valid``, ``cmmlu`` and
``commonsense_qa``. OpenCompass: ``mmlu_ppl_ac766d``, ``ceval_ppl_1cd8bf``, ``cmmlu_ppl_041cbf``.
MMLU by text: ``mmlu_cloze`` of SmolLM2's evaluation, https://github.com/huggingface/smollm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightllm_evals.records import Choice, Sample

Row = Mapping[str, Any]

_LETTERS = "ABCDE"


def lettered(context: str, num_choices: int) -> tuple[Choice, ...]:
    """Returns the choices `` A``, `` B`` and so on behind a context."""
    return tuple(
        Choice(context=context, continuation=f" {letter}", text=letter)
        for letter in _LETTERS[:num_choices]
    )


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in zip(_LETTERS, texts, strict=False))


def four_listed(row: Row) -> str:
    """Returns the four answers of C-Eval and CMMLU, a letter and a line each."""
    return _listed([row[letter] for letter in "ABCD"])


# MMLU


def _mmlu_item(row: Row) -> str:
    return f"{row['question'].strip()}\n{_listed(row['choices'])}\nAnswer:"


def mmlu_prefix(sample: Sample) -> str:
    """Returns the description and the subject's five shots."""
    subject = sample["subject"].replace("_", " ")
    head = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    return head + "".join(
        f"{_mmlu_item(shot)} {_LETTERS[shot['answer']]}\n\n" for shot in sample["shots"]
    )


def mmlu(sample: Sample) -> tuple[Choice, ...]:
    """Returns the four letters behind the shots and the question."""
    return lettered(mmlu_prefix(sample) + _mmlu_item(sample.fields), 4)


def mmlu_opencompass_prefix(sample: Sample) -> str:
    """Returns OpenCompass's description, with two spaces, and the five shots."""
    subject = sample["subject"].replace("_", " ")
    head = f"The following are multiple choice questions (with answers) about  {subject}.\n\n"
    return head + "".join(
        f"{_raw_mmlu_item(shot)} {_LETTERS[shot['answer']]}\n\n" for shot in sample["shots"]
    )


def _raw_mmlu_item(row: Row) -> str:
    return f"{row['question']}\n{_listed(row['choices'])}\nAnswer:"


def mmlu_opencompass(sample: Sample) -> tuple[Choice, ...]:
    """Returns the four letters behind OpenCompass's text; the question is not stripped."""
    return lettered(mmlu_opencompass_prefix(sample) + _raw_mmlu_item(sample.fields), 4)


def mmlu_cloze(sample: Sample) -> tuple[Choice, ...]:
    """Returns the four texts behind the bare question, which neither lists nor letters them."""
    subject = sample["subject"].replace("_", " ")
    head = f"The following are questions about {subject}.\n"
    context = f"{head}Question: {sample['question']}\nAnswer:"
    return tuple(
        Choice(context=context, continuation=f" {text}", text=text) for text in sample["choices"]
    )


# C-Eval and CMMLU

_DIRECT = "以下是关于{name}的单项选择题，请直接给出正确答案的选项。"
CEVAL_EXAM = "以下是中国关于{name}的单项选择题，请选出其中的正确答案。"


def _chinese(
    head: str, gap: str, item: Callable[[Row], str]
) -> tuple[Callable[[Sample], str], Callable[[Sample], tuple[Choice, ...]]]:
    def prefix(sample: Sample) -> str:
        shots = "".join(f"{item(shot)} {shot['answer']}\n\n" for shot in sample["shots"])
        return head.format(name=sample["name"]) + gap + shots

    def choices(sample: Sample) -> tuple[Choice, ...]:
        return lettered(prefix(sample) + item(sample.fields), 4)

    return prefix, choices


def _reference_item(row: Row) -> str:
    return f"{row['question'].strip()}\n{four_listed(row)}\n答案："


def _ceval_item(row: Row) -> str:
    return f"{row['question']}\n{four_listed(row)}\n答案:"


def _cmmlu_item(row: Row) -> str:
    return f"题目：{row['question']}\n{four_listed(row)}\n答案是:"


# Each pair: the few-shot text, and the four letters behind it and the question. OpenCompass
# joins its shots, which end in a newline, by another one.
ceval_reference_prefix, ceval_reference = _chinese(CEVAL_EXAM, "\n\n", _reference_item)
cmmlu_reference_prefix, cmmlu_reference = _chinese(_DIRECT, "\n\n", _reference_item)
ceval_opencompass_prefix, ceval_opencompass = _chinese(_DIRECT, "\n", _ceval_item)
cmmlu_opencompass_prefix, cmmlu_opencompass = _chinese(_DIRECT, "\n", _cmmlu_item)


# CommonsenseQA


def commonsenseqa(sample: Sample) -> tuple[Choice, ...]:
    """Returns the five letters behind the question, without shots."""
    context = f"Question: {sample['stem'].strip()}\n{_listed(sample['texts'])}\nAnswer:"
    return lettered(context, len(sample["texts"]))
