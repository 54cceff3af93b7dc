"""BIG-Bench Hard: Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can Solve Them.

Mirac Suzgun, Nathan Scales, Nathanael Schaerli, Sebastian Gehrmann et al., 2022.
https://arxiv.org/abs/2210.09261 - https://github.com/suzgunmirac/BIG-Bench-Hard

6,511 items of 27 tasks, with the authors' three worked examples. A sample passes when its
answer is the target; the headline is the mean over tasks (macro), as OpenCompass has it.
"""

from __future__ import annotations

from lightllm_evals import Sample, Variant, benchmark
from lightllm_evals.datasets import bbh
from lightllm_evals.prompts import bbh as prompts
from lightllm_evals.scoring import bbh as scoring
from lightllm_evals.scoring import found_answer

VARIANTS = {
    # What Llama-2-7B's 38.27 on OpenCompass's leaderboard compares with, there with 512 tokens.
    "opencompass": Variant(
        prompt=prompts.opencompass_prompt,
        max_new_tokens=1024,
        stop=prompts.OPENCOMPASS_STOPS,
        answer=scoring.opencompass_answer,
        prefix=prompts.opencompass_prefix,
    ),
    "reference": Variant(
        prompt=prompts.reference_prompt,
        max_new_tokens=1024,
        stop=prompts.REFERENCE_STOPS,
        answer=scoring.reference_answer,
        prefix=prompts.reference_prefix,
    ),
}


@benchmark(
    "bbh",
    samples=bbh,
    variants=VARIANTS,
    metric="exact_match",
    kinds=["reasoning"],
    aggregation="macro",
)
def test_bbh(sample: Sample, answer: str) -> None:
    """The answer found in the completion is the target."""
    assert scoring.is_exact_match(sample, found_answer(answer, "'the answer is ...'"))
