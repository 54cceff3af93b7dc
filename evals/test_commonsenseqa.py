"""CommonsenseQA: A Question Answering Challenge Targeting Commonsense Knowledge.

Alon Talmor, Jonathan Herzig, Nicholas Lourie and Jonathan Berant, 2018.
https://arxiv.org/abs/1811.00937 - https://www.tau-nlp.org/commonsenseqa

1,221 validation questions with five lettered answers, without shots. A sample passes when the
right letter is the likeliest (``acc``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import commonsenseqa
from lightllm_evals.prompts import exams
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {"reference": LikelihoodVariant(choices=exams.commonsenseqa)}


@benchmark(
    "commonsenseqa", samples=commonsenseqa, variants=VARIANTS, metric="acc", kinds=["knowledge"]
)
def test_commonsenseqa(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter is the right one."""
    target = targets.index_target(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target)
    for name, score in scores.items():
        record_metric(name, score)
    assert scores["acc"] == 1, likelihood.comparison(choices, likelihoods, target)
