"""WinoGrande: An Adversarial Winograd Schema Challenge at Scale.

Keisuke Sakaguchi, Ronan Le Bras, Chandra Bhagavatula and Yejin Choi, 2019.
https://arxiv.org/abs/1907.10641 - https://winogrande.allenai.org/

1,267 sentences with a gap and two fillers. Partial scoring: a sample passes when the end of the
sentence is likelier behind its beginning with the right filler (``acc``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import winogrande
from lightllm_evals.prompts import commonsense
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {"reference": LikelihoodVariant(choices=commonsense.winogrande)}


@benchmark(
    "winogrande", samples=winogrande, variants=VARIANTS, metric="acc", kinds=["commonsense"]
)
def test_winogrande(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    record_metric: RecordMetric,
) -> None:
    """The likeliest beginning is the right one."""
    target = targets.option_number(sample)
    score = likelihood.choice_scores(choices, likelihoods, target)["acc"]
    record_metric("acc", score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
