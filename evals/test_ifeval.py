"""IFEval: Instruction-Following Evaluation for Large Language Models.

Jeffrey Zhou, Tianjian Lu, Swaroop Mishra, Siddhartha Brahma et al., 2023.
https://arxiv.org/abs/2311.07911 - https://github.com/google-research/google-research

541 prompts with 834 instructions that a program can check. A sample passes when all of its
instructions are followed (prompt-level strict); the instruction-level accuracies are shares of
all instructions of all prompts.
"""

from __future__ import annotations

from lightllm_evals import RecordMetric, Sample, Variant, benchmark
from lightllm_evals.datasets import ifeval
from lightllm_evals.prompts import ifeval as prompts
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import ifeval as scoring

MAX_NEW_TOKENS = 1280

VARIANTS = {
    "raw": Variant(prompt=prompts.bare_prompt, max_new_tokens=MAX_NEW_TOKENS),
    # For chat models: --lightllm-api chat selects it.
    "chat": Variant(prompt=prompts.user_turn, max_new_tokens=MAX_NEW_TOKENS, is_chat=True),
}


@benchmark(
    "ifeval",
    samples=ifeval,
    variants=VARIANTS,
    chat_variant="chat",
    metric="prompt_strict",
    kinds=["instruction"],
)
def test_ifeval(sample: Sample, answer: str, record_metric: RecordMetric) -> None:
    """The response follows every instruction."""
    result = scoring.followed(sample, answer)
    record_metric("prompt_loose", all(result.loose))
    record_metric("instruction_strict", sum(result.strict), len(result.strict))
    record_metric("instruction_loose", sum(result.loose), len(result.loose))
    assert found_answer(answer.strip(), "of any text")
    kinds = zip(sample["instruction_id_list"], result.strict, strict=True)
    assert all(result.strict), f"not followed: {[kind for kind, holds in kinds if not holds]}"
