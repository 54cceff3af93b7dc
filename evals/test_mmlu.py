"""MMLU: Measuring Massive Multitask Language Understanding.

Dan Hendrycks, Collin Burns, Steven Basart, Andy Zou et al., 2020.
https://arxiv.org/abs/2009.03300 - https://github.com/hendrycks/test

14,042 exam questions of 57 subjects with four lettered answers, behind the subject's first five
questions of the dev split. A sample passes when the right letter is the likeliest; in the form
``cloze``, which has no shots, the right text, by characters (``acc_norm``). Published
scores are the mean over questions (micro) or, with OpenCompass, over subjects (macro).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import mmlu
from lightllm_evals.prompts import exams
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    "reference": LikelihoodVariant(choices=exams.mmlu, prefix=exams.mmlu_prefix, metric="acc"),
    # What Llama-2-7B's 46.78 on OpenCompass's leaderboard compares with (mmlu_ppl_ac766d).
    "opencompass": LikelihoodVariant(
        choices=exams.mmlu_opencompass,
        kind="ppl-full",
        prefix=exams.mmlu_opencompass_prefix,
        metric="acc_ppl",
    ),
    # For small models, which cannot tell letters; what the cards of SmolLM2 compare with.
    "cloze": LikelihoodVariant(choices=exams.mmlu_cloze, metric="acc_norm"),
}


@benchmark("mmlu", samples=mmlu, variants=VARIANTS, metric="acc", kinds=["knowledge"])
def test_mmlu(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter, or text, is the right one."""
    target = targets.answer_index(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target, form.kind)
    # Letters are of one length: by characters or bytes they would be the same figures again.
    for name in scores if form.metric == "acc_norm" else (form.metric,):
        record_metric(name, scores[name])
    assert scores[form.metric] == 1, likelihood.comparison(choices, likelihoods, target)
