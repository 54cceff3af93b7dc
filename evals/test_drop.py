"""DROP: A Reading Comprehension Benchmark Requiring Discrete Reasoning Over Paragraphs.

Dheeru Dua, Yizhong Wang, Pradeep Dasigi, Gabriel Stanovsky et al., 2019.
https://arxiv.org/abs/1903.00161

1,000 of the 9,536 validation questions. The headline is F1 over bags of words against the best
of the accepted answers; a sample passes when its answer matches one exactly.
"""

from __future__ import annotations

from pathlib import Path

from lightllm_evals import RecordMetric, Sample, Variant, benchmark
from lightllm_evals.datasets import drop
from lightllm_evals.prompts import drop as prompts
from lightllm_evals.prompts import fewshot
from lightllm_evals.scoring import drop as scoring
from lightllm_evals.scoring import found_answer

SHOTS = Path(__file__).parents[1] / "fixtures" / "fewshot" / "drop.txt"

VARIANTS = {
    "three_shot": Variant(
        prompt=fewshot.with_shots(SHOTS, prompts.question),
        max_new_tokens=64,
        stop=prompts.STOPS,
        answer=scoring.answer_line,
        prefix=fewshot.prefix_from(SHOTS),
    ),
    # Its stop cuts decimals: it is for comparisons, not a good measure.
    "reference": Variant(
        prompt=prompts.reference_prompt,
        max_new_tokens=256,
        stop=prompts.REFERENCE_STOPS,
        answer=scoring.whole_answer,
    ),
}


@benchmark("drop", samples=drop, variants=VARIANTS, metric="f1", kinds=["reasoning"])
def test_drop(sample: Sample, answer: str, record_metric: RecordMetric) -> None:
    """The answer is one of the accepted ones."""
    score = scoring.best_score(sample, answer)
    record_metric("f1", score.f1)
    record_metric("exact_match", score.exact_match)
    assert found_answer(answer.strip(), "of any text")
    assert score.exact_match == 1, f"{answer!r} is none of {sample['answers']}"
