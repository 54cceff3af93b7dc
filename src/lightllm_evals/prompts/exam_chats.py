"""Exam questions for chat models, which answer in words: MMLU, C-Eval and CMMLU.

OpenCompass's forms for chat models: ``mmlu_openai_simple_evals_gen_b618ea`` (the wording of
https://github.com/openai/simple-evals), ``ceval_gen_5f30c7``, ``cmmlu_0shot_cot_gen_305931``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightllm_evals.prompts.exams import CEVAL_EXAM, four_listed
from lightllm_evals.records import Message, Sample

_MMLU = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: 'ANSWER: $LETTER' (without quotes) where LETTER is one of ABCD. Think "
    "step by step before answering."
)
_CMMLU = (
    "请回答以下关于{name}的单项选择题, 你回答的最后一行**必须**是以下格式 '答案: $选项' "
    "(不带引号), 其中选项是ABCD之一. 请在回答之前一步步思考."
)


def mmlu_turn(sample: Sample) -> Sequence[Message]:
    """Returns the question and what its last line is to be, as one user turn."""
    return _user(f"{_MMLU}\n\n{sample['question']}\n\n{_bracketed(sample['choices'])}")


def cmmlu_turn(sample: Sample) -> Sequence[Message]:
    """Returns the same in Chinese."""
    task = _CMMLU.format(name=sample["name"])
    texts = [sample[letter] for letter in "ABCD"]
    return _user(f"{task}\n\n{sample['question']}\n\n{_bracketed(texts)}")


def ceval_turns(sample: Sample) -> Sequence[Message]:
    """Returns the subject's five questions of the dev split and the sample's, as turns."""
    turns: list[Message] = []
    for shot in sample["shots"]:
        turns += [
            *_user(_ceval_question(sample["name"], shot)),
            Message(role="assistant", content=shot["answer"]),
        ]
    return (*turns, *_user(_ceval_question(sample["name"], sample.fields)))


def _ceval_question(name: str, row: Mapping[str, Any]) -> str:
    head = CEVAL_EXAM.format(name=f"{name}考试")
    return f"{head}\n{row['question']}\n{four_listed(row)}\n答案: "


def _user(content: str) -> tuple[Message, ...]:
    return (Message(role="user", content=content),)


def _bracketed(texts: Sequence[str]) -> str:
    return "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", texts, strict=True))
