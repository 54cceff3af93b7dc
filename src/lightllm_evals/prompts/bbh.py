"""BIG-Bench Hard's three-shot chain-of-thought prompts.

Default: OpenCompass, ``bbh_gen_98fba6``. Reference form of lm-evaluation-harness 0.4.13:
``bbh_cot_fewshot``. Both show the authors' worked examples.
"""

from __future__ import annotations

from lightllm_evals.records import Sample

OPENCOMPASS_STOPS = ("Q:",)
REFERENCE_STOPS = ("</s>", "Q", "\n\n")

_OPENING = "A: Let's think step by step."


def opencompass_prefix(sample: Sample) -> str:
    """Returns the instruction and the task's examples."""
    return f"Follow the given examples and answer the question.\n{sample['cot_prompt']}\n\n"


def opencompass_prompt(sample: Sample) -> str:
    """Returns the examples and the question, open after "step by step."."""
    return f"{opencompass_prefix(sample)}Q: {sample['input']}\n{_OPENING}"


def reference_prefix(sample: Sample) -> str:
    """Returns the task's description and examples.

    The authors' file of ``sports_understanding`` goes on in the line of "step by step.".
    """
    shown = sample["cot_prompt"].strip().replace(f"{_OPENING} ", f"{_OPENING}\n")
    return f"{shown}\n\n"


def reference_prompt(sample: Sample) -> str:
    """Returns the examples and the question, open on a new line after "step by step."."""
    return f"{reference_prefix(sample)}Q: {sample['input']}\n{_OPENING}\n"
