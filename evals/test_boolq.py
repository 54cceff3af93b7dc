"""BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions.

Christopher Clark, Kenton Lee, Ming-Wei Chang, Tom Kwiatkowski et al., 2019.
https://arxiv.org/abs/1905.10044 - https://super.gluebenchmark.com

3,270 questions about a passage, its title included, from SuperGLUE's validation split. A sample
passes when the right one of yes and no is the likelier: by its sum (``acc``), or in OpenCompass's
form by the mean loss of the whole text (``acc_ppl``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import boolq
from lightllm_evals.prompts import commonsense
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    "reference": LikelihoodVariant(choices=commonsense.boolq, metric="acc"),
    # Without the title, the whole text scored (SuperGLUE_BoolQ_ppl_314797).
    "opencompass": LikelihoodVariant(
        choices=commonsense.boolq_opencompass, kind="ppl-full", metric="acc_ppl"
    ),
}


@benchmark("boolq", samples=boolq, variants=VARIANTS, metric="acc", kinds=["commonsense"])
def test_boolq(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likelier of yes and no is the right one."""
    target = targets.boolean(sample)
    score = likelihood.choice_scores(choices, likelihoods, target, form.kind)[form.metric]
    record_metric(form.metric, score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
