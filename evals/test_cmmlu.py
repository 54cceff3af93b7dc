"""CMMLU: Measuring Massive Multitask Language Understanding in Chinese.

Haonan Li, Yixuan Zhang, Fajri Koto, Yifei Yang et al., 2023.
https://arxiv.org/abs/2306.09212 - https://github.com/haonan-li/CMMLU

11,582 questions of 67 Chinese subjects with four lettered answers, behind the subject's first
five of the dev split. A sample passes when the right letter is the likeliest; published scores
are the mean over subjects (macro).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import cmmlu
from lightllm_evals.prompts import exams
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    # OpenCompass's text, with the letter alone scored: what Chinese model cards quote.
    "opencompass": LikelihoodVariant(
        choices=exams.cmmlu_opencompass, prefix=exams.cmmlu_opencompass_prefix, metric="acc"
    ),
    "reference": LikelihoodVariant(
        choices=exams.cmmlu_reference, prefix=exams.cmmlu_reference_prefix, metric="acc"
    ),
    # The whole text scored, as OpenCompass itself does (cmmlu_ppl_041cbf).
    "opencompass_ppl": LikelihoodVariant(
        choices=exams.cmmlu_opencompass,
        kind="ppl-full",
        prefix=exams.cmmlu_opencompass_prefix,
        metric="acc_ppl",
    ),
}


@benchmark(
    "cmmlu",
    samples=cmmlu,
    variants=VARIANTS,
    metric="acc",
    kinds=["knowledge", "zh"],
    aggregation="macro",
)
def test_cmmlu(
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
