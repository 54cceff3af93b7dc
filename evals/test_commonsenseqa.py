"""CommonsenseQA: A Question Answering Challenge Targeting Commonsense Knowledge.

Alon Talmor, Jonathan Herzig, Nicholas Lourie and Jonathan Berant, 2018.
https://arxiv.org/abs/1811.00937 - https://www.tau-nlp.org/commonsenseqa

1,221 validation questions with five lettered answers, without shots. A sample passes when the
right letter is the likeliest (``acc``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import commonsenseqa, olmes_shots
from lightllm_evals.prompts import exams, olmes
from lightllm_evals.scoring import likelihood, targets

OLMES_SHOTS = olmes_shots("csqa")

VARIANTS = {
    "reference": LikelihoodVariant(choices=exams.commonsenseqa),
    # OLMES's multiple-choice form: five shots, letters.
    "olmes_mc": LikelihoodVariant(
        choices=olmes.choices(OLMES_SHOTS), prefix=olmes.prefix(OLMES_SHOTS)
    ),
}


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
    score = likelihood.choice_scores(choices, likelihoods, target)["acc"]
    record_metric("acc", score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
