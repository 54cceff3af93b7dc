"""GSM8K: Training Verifiers to Solve Math Word Problems.

Karl Cobbe, Vineet Kosaraju, Mohammad Bavarian, Mark Chen et al., 2021.
https://arxiv.org/abs/2110.14168 - https://github.com/openai/grade-school-math

1,319 word problems with a whole number for an answer. A sample passes when the answer, read as
its form reads it, is the target's; ``flexible`` takes the last number of the completion instead
of the one after ``####`` (in the form ``cot``: after ``The answer is``). The shots are five of
the train split, drawn anew for each item.
"""

from __future__ import annotations

from pathlib import Path

from lightllm_evals import Completion, RecordMetric, Sample, Variant, benchmark
from lightllm_evals.datasets import gsm8k
from lightllm_evals.prompts import fewshot
from lightllm_evals.prompts import gsm8k as prompts
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import gsm8k as scoring

FEWSHOT = Path(__file__).parents[1] / "fixtures" / "fewshot"
SHOTS = FEWSHOT / "gsm8k_opencompass.txt"
COT_SHOTS = FEWSHOT / "gsm8k_cot.txt"

VARIANTS = {
    # The reference cuts at 256 tokens, which chat models run over.
    "reference": Variant(
        prompt=prompts.reference_prompt,
        max_new_tokens=512,
        stop=prompts.REFERENCE_STOPS,
        answer=scoring.strict_answer,
        prefix=prompts.reference_prefix,
    ),
    # For chat models: --lightllm-api chat selects it; its headline is the flexible reading.
    "instruct": Variant(
        prompt=prompts.reference_turns,
        max_new_tokens=512,
        stop=prompts.REFERENCE_STOPS,
        answer=scoring.flexible_answer,
        prefix=prompts.reference_prefix,
        is_chat=True,
        shots=prompts.reference_shots,
    ),
    # The eight hand-written chains of thought that papers mean by "8-shot CoT".
    "cot": Variant(
        prompt=fewshot.with_shots(COT_SHOTS, prompts.cot_question),
        max_new_tokens=512,
        stop=prompts.COT_STOPS,
        answer=scoring.cot_answer,
        prefix=fewshot.prefix_from(COT_SHOTS),
    ),
    # What Llama-2-7B's 16.76 on OpenCompass's leaderboard compares with.
    "opencompass": Variant(
        prompt=fewshot.with_shots(SHOTS, prompts.opencompass_question),
        max_new_tokens=512,
        stop=prompts.OPENCOMPASS_STOPS,
        answer=scoring.opencompass_answer,
        prefix=fewshot.prefix_from(SHOTS),
    ),
}


@benchmark(
    "gsm8k",
    samples=gsm8k,
    variants=VARIANTS,
    chat_variant="instruct",
    metric="exact_match",
    kinds=["math"],
)
def test_gsm8k(
    sample: Sample,
    answer: str,
    completion: Completion,
    form: Variant,
    record_metric: RecordMetric,
) -> None:
    """The number found in the completion is the target's."""
    strict = scoring.cot_answer if form.answer is scoring.cot_answer else scoring.strict_answer
    for name, read in ("strict", strict), ("flexible", scoring.flexible_answer):
        record_metric(name, scoring.is_exact_match(sample, read(sample, completion.text)))
    answer = found_answer(answer, "that this variant reads (#### N, The answer is N, or a number)")
    assert scoring.is_exact_match(sample, answer)
