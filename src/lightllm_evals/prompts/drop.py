"""DROP's prompts: three shots of our own, and lm-evaluation-harness's without any."""

from __future__ import annotations

from lightllm_evals.records import Sample

STOPS = ("\n",)
REFERENCE_STOPS = (".",)


def question(sample: Sample) -> str:
    """Returns passage and question as the shots in ``fixtures/fewshot/drop.txt`` have them."""
    return f"Passage: {sample['passage']}\nQuestion: {sample['question']}\nAnswer:"


def reference_prompt(sample: Sample) -> str:
    """Returns passage and question as lm-evaluation-harness 0.4.13 joins them."""
    return f"{sample['passage']} {sample['question']}"
