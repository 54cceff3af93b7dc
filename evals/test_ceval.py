"""C-Eval: A Multi-Level Multi-Discipline Chinese Evaluation Suite for Foundation Models.

Yuzhen Huang, Yuzhuo Bai, Zhihao Zhu, Junlei Zhang et al., 2023.
https://arxiv.org/abs/2305.08322 - https://cevalbenchmark.com

1,346 validation questions of 52 Chinese subjects with four lettered answers, behind the subject's
five of the dev split; the test split's answers are not public. A sample passes when the right
letter is the likeliest; published scores are the mean over subjects (macro).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import ceval
from lightllm_evals.prompts import exams
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    # OpenCompass's text, with the letter alone scored: what Chinese model cards quote.
    "opencompass": LikelihoodVariant(
        choices=exams.ceval_opencompass, prefix=exams.ceval_opencompass_prefix, metric="acc"
    ),
    "reference": LikelihoodVariant(
        choices=exams.ceval_reference, prefix=exams.ceval_reference_prefix, metric="acc"
    ),
    # The whole text scored, as OpenCompass itself does (ceval_ppl_1cd8bf).
    "opencompass_ppl": LikelihoodVariant(
        choices=exams.ceval_opencompass,
        kind="ppl-full",
        prefix=exams.ceval_opencompass_prefix,
        metric="acc_ppl",
    ),
}


@benchmark(
    "ceval",
    samples=ceval,
    variants=VARIANTS,
    metric="acc",
    kinds=["knowledge", "zh"],
    aggregation="macro",
)
def test_ceval(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter is the right one."""
    target = targets.answer_letter(sample)
    score = likelihood.choice_scores(choices, likelihoods, target, form.kind)[form.metric]
    record_metric(form.metric, score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
