"""GSM8K's prompts.

Reference form: lm-evaluation-harness 0.4.13, task ``gsm8k``; chain of thought: its task
``gsm8k_cot``, whose eight shots stand in ``fixtures/fewshot/gsm8k_cot.txt``. OpenCompass:
``gsm8k_gen_17d0dc``, whose four shots stand in ``fixtures/fewshot/gsm8k_opencompass.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightllm_evals.records import Message, Sample

REFERENCE_STOPS = ("Question:", "</s>", "<|im_end|>")
COT_STOPS = ("Q:", "</s>", "<|im_end|>")
OPENCOMPASS_STOPS = ("Question",)


def reference_prefix(sample: Sample) -> str:
    """Returns the sample's five shots with their full rationales, calculator marks included."""
    return "".join(f"{_question(shot)} {shot['answer']}\n\n" for shot in sample["shots"])


def reference_prompt(sample: Sample) -> str:
    """Returns the shots and the question."""
    return reference_prefix(sample) + _question(sample.fields)


def reference_turns(sample: Sample) -> tuple[Message, ...]:
    """Returns the question as one user turn; ``reference_shots`` stand before it or inside."""
    return (Message(role="user", content=_question(sample.fields)),)


def reference_shots(sample: Sample) -> tuple[Message, ...]:
    """Returns the sample's five shots as turns; joined to the question as the reference prompt."""
    return tuple(
        turn
        for shot in sample["shots"]
        for turn in (
            Message(role="user", content=_question(shot)),
            Message(role="assistant", content=shot["answer"]),
        )
    )


def _question(row: Mapping[str, Any]) -> str:
    return f"Question: {row['question']}\nAnswer:"


def cot_question(sample: Sample) -> str:
    """Returns the question as the chain-of-thought form words it, without its shots."""
    return f"Q: {sample['question']}\nA:"


def opencompass_question(sample: Sample) -> str:
    """Returns the question as OpenCompass words it, without its shots."""
    return f"Question: {sample['question']}\nLet's think step by step\nAnswer:"
