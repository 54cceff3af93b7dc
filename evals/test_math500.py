"""MATH-500: 500 problems of Measuring Mathematical Problem Solving With the MATH Dataset.

Dan Hendrycks, Collin Burns, Saurav Kadavath, Akul Arora et al., 2021, chosen by Hunter Lightman
et al., 2023. https://arxiv.org/abs/2103.03874, https://arxiv.org/abs/2305.20050

A sample passes when math-verify finds an answer equal to the solution's; ``exact_match`` is the
normalised text of the final answer (``minerva``), or of the boxed one too (``boxed``): Minerva's
metric without its sympy part.
"""

from __future__ import annotations

from pathlib import Path

from lightllm_evals import RecordMetric, Sample, Variant, benchmark
from lightllm_evals.datasets import math500
from lightllm_evals.prompts import fewshot
from lightllm_evals.prompts import math500 as prompts
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import math500 as scoring

SHOTS = Path(__file__).parents[1] / "fixtures" / "fewshot" / "minerva_math.txt"

VARIANTS = {
    "minerva": Variant(
        prompt=fewshot.with_shots(SHOTS, prompts.minerva_problem),
        max_new_tokens=1024,
        stop=prompts.MINERVA_STOPS,
        prefix=fewshot.prefix_from(SHOTS),
    ),
    # For chat models: --lightllm-api chat selects it.
    "boxed": Variant(prompt=prompts.boxed_turns, max_new_tokens=2048, is_chat=True),
}


@benchmark(
    "math500",
    samples=math500,
    variants=VARIANTS,
    chat_variant="boxed",
    metric="math_verify",
    kinds=["math"],
)
def test_math500(sample: Sample, answer: str, form: Variant, record_metric: RecordMetric) -> None:
    """The completion's answer is equal to the solution's."""
    is_exact = scoring.is_exact_match(sample, answer, is_box_read=form.is_chat)
    record_metric("exact_match", is_exact)
    assert scoring.is_verified(sample, found_answer(scoring.readable_answer(answer), "of maths"))
