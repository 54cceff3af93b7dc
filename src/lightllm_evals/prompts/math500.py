r"""MATH-500's prompts: Minerva's for base models, a boxed answer for chat models.

Minerva: Aitor Lewkowycz et al., "Solving Quantitative Reasoning Problems with Language
Models", 2022, https://arxiv.org/abs/2206.14858; its four shots stand in
``fixtures/fewshot/minerva_math.txt``. Boxed: OpenCompass, ``math_prm800k_500_0shot_cot_gen``.
"""

from __future__ import annotations

from lightllm_evals.records import Message, Sample

MINERVA_STOPS = ("Problem:",)


def minerva_problem(sample: Sample) -> str:
    """Returns the problem as Minerva's prompt has it, without the shots."""
    return f"Problem:\n{sample['problem']}\n\nSolution:"


def boxed_turns(sample: Sample) -> tuple[Message, ...]:
    """Returns the problem as one user turn that asks for a boxed answer."""
    text = (
        f"{sample['problem']}\n"
        "Please reason step by step, and put your final answer within \\boxed{}."
    )
    return (Message(role="user", content=text),)
