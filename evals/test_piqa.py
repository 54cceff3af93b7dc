"""PIQA: Reasoning about Physical Commonsense in Natural Language.

Yonatan Bisk, Rowan Zellers, Ronan Le Bras, Jianfeng Gao and Yejin Choi, 2019.
https://arxiv.org/abs/1911.11641 - https://yonatanbisk.com/piqa/

1,838 everyday goals, each with two solutions. A sample passes when the right solution is the
likelier by characters (``acc_norm``); ``acc`` stands beside it.
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import piqa
from lightllm_evals.prompts import commonsense
from lightllm_evals.scoring import likelihood, targets

VARIANTS = {
    "reference": LikelihoodVariant(choices=commonsense.piqa, metric="acc_norm"),
    # Goal and solution alone, the whole text scored (piqa_ppl_0cfff2).
    "opencompass": LikelihoodVariant(
        choices=commonsense.piqa_opencompass, kind="ppl-full", metric="acc_ppl"
    ),
}


@benchmark("piqa", samples=piqa, variants=VARIANTS, metric="acc_norm", kinds=["commonsense"])
def test_piqa(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest solution, by characters, is the right one."""
    target = targets.label(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target, form.kind)
    for name, score in scores.items():
        record_metric(name, score)
    assert scores[form.metric] == 1, likelihood.comparison(choices, likelihoods, target)
