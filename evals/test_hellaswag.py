"""HellaSwag: Can a Machine Really Finish Your Sentence?

Rowan Zellers, Ari Holtzman, Yonatan Bisk, Ali Farhadi and Yejin Choi, 2019.
https://arxiv.org/abs/1905.07830 - https://rowanzellers.com/hellaswag/

10,042 beginnings of everyday scenes, each with four endings. A sample passes when the right
ending is the likeliest by characters (``acc_norm``).
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import hellaswag
from lightllm_evals.prompts import commonsense
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    "reference": LikelihoodVariant(choices=commonsense.hellaswag, metric="acc_norm"),
    # The same texts, each scored as a whole (hellaswag_ppl_a6e128). OpenCompass's leaderboard
    # has another form, which lists the endings and asks for a letter.
    "opencompass": LikelihoodVariant(
        choices=commonsense.hellaswag, kind="ppl-full", metric="acc_ppl"
    ),
}


@benchmark(
    "hellaswag", samples=hellaswag, variants=VARIANTS, metric="acc_norm", kinds=["commonsense"]
)
def test_hellaswag(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest ending, by characters, is the right one."""
    target = targets.label(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target, form.kind)
    for name, score in scores.items():
        record_metric(name, score)
    assert scores[form.metric] == 1, likelihood.comparison(choices, likelihoods, target)
