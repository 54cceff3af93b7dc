"""OpenBookQA: Can a Suit of Armor Conduct Electricity?

Todor Mihaylov, Peter Clark, Tushar Khot and Ashish Sabharwal, 2018.
https://arxiv.org/abs/1809.02789 - https://allenai.org/data/open-book-qa

500 elementary science questions with four answers, asked without the book. A sample passes when
the right answer is the likeliest by characters (``acc_norm``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import openbookqa
from lightllm_evals.prompts import commonsense
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {"reference": LikelihoodVariant(choices=commonsense.openbookqa)}


@benchmark(
    "openbookqa", samples=openbookqa, variants=VARIANTS, metric="acc_norm", kinds=["commonsense"]
)
def test_openbookqa(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    record_metric: RecordMetric,
) -> None:
    """The likeliest answer, by characters, is the right one."""
    target = targets.index_target(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target)
    for name, score in scores.items():
        record_metric(name, score)
    assert scores["acc_norm"] == 1, likelihood.comparison(choices, likelihoods, target)
