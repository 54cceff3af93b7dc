"""ARC: Think you have Solved Question Answering? Try ARC, the AI2 Reasoning Challenge.

Peter Clark, Isaac Cowhey, Oren Etzioni, Tushar Khot et al., 2018.
https://arxiv.org/abs/1803.05457 - https://allenai.org/data/arc

School science questions with three to five answers; 1,172 that simple methods get wrong, and
2,376 easy ones. A sample passes when the right answer is the likeliest behind the question: by
characters (``acc_norm``) in the challenge set, by its sum (``acc``) in the easy one.
"""

from __future__ import annotations

from lightllm_evals import Choice, Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import arc_challenge, arc_easy, olmes_shots
from lightllm_evals.prompts import commonsense, olmes
from lightllm_evals.scoring import likelihood, targets

# Each answer below the question, the whole text scored (ARC_c_ppl_a450bd). OpenCompass leaves out
# the 7 and 11 items that have not four answers.
OPENCOMPASS = LikelihoodVariant(
    choices=commonsense.arc_opencompass, kind="ppl-full", metric="acc_ppl"
)
# The answers listed and a letter below them, the whole text scored (ARC_c_ppl_2ef631).
OPENCOMPASS_LETTERS = LikelihoodVariant(
    choices=commonsense.arc_opencompass_letters, kind="ppl-full", metric="acc_ppl"
)


def lettered(task: str) -> LikelihoodVariant:
    """Returns OLMES's multiple-choice form: five shots, letters."""
    shots = olmes_shots(task)
    return LikelihoodVariant(
        choices=olmes.choices(shots), prefix=olmes.prefix(shots), metric="acc"
    )


CHALLENGE = {
    "reference": LikelihoodVariant(choices=commonsense.arc, metric="acc_norm"),
    "opencompass": OPENCOMPASS,
    "opencompass_letters": OPENCOMPASS_LETTERS,
    "olmes_mc": lettered("arc_challenge"),
}
EASY = {
    "reference": LikelihoodVariant(choices=commonsense.arc, metric="acc"),
    "opencompass": OPENCOMPASS,
    "opencompass_letters": OPENCOMPASS_LETTERS,
    "olmes_mc": lettered("arc_easy"),
}


@benchmark(
    "arc_challenge",
    samples=arc_challenge,
    variants=CHALLENGE,
    metric="acc_norm",
    kinds=["commonsense"],
)
def test_arc_challenge(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest answer, by characters, is the right one."""
    assert_likeliest(sample, choices, likelihoods, form, record_metric)


@benchmark("arc_easy", samples=arc_easy, variants=EASY, metric="acc", kinds=["commonsense"])
def test_arc_easy(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest answer is the right one."""
    assert_likeliest(sample, choices, likelihoods, form, record_metric)


def assert_likeliest(
    sample: Sample,
    choices: tuple[Choice, ...],
    likelihoods: tuple[Likelihood, ...],
    form: LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """Asserts that the right answer is the likeliest by the form's metric, and records all."""
    target = targets.index_target(sample)
    scores = likelihood.choice_scores(choices, likelihoods, target, form.kind)
    for name, score in scores.items():
        record_metric(name, score)
    assert scores[form.metric] == 1, likelihood.comparison(choices, likelihoods, target)
