"""CMMLU: Measuring Massive Multitask Language Understanding in Chinese.

Haonan Li, Yixuan Zhang, Fajri Koto, Yifei Yang et al., 2023.
https://arxiv.org/abs/2306.09212 - https://github.com/haonan-li/CMMLU

11,582 questions of 67 Chinese subjects with four lettered answers, behind the subject's first
five of the dev split. A sample passes when the right letter is the likeliest, in the form
``cot``, for chat models, when the completion names it behind its first ``答案:``; published scores
are the mean over subjects (macro).
"""

from __future__ import annotations

from lightllm_evals import (
    Completion,
    LikelihoodVariant,
    RecordMetric,
    Sample,
    Variant,
    benchmark,
)
from lightllm_evals.datasets import cmmlu
from lightllm_evals.prompts import exam_chats, exams
from lightllm_evals.scoring import found_answer, letters, likelihood, targets

VARIANTS: dict[str, Variant | LikelihoodVariant] = {
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
    # For chat models: --lightllm-api chat selects it (cmmlu_0shot_cot_gen_305931).
    "cot": Variant(
        prompt=exam_chats.cmmlu_turn,
        max_new_tokens=2048,
        answer=letters.chinese_letter,
        is_chat=True,
    ),
}


@benchmark(
    "cmmlu",
    samples=cmmlu,
    variants=VARIANTS,
    chat_variant="cot",
    metric="acc",
    kinds=["knowledge", "zh"],
    aggregation="macro",
)
def test_cmmlu(
    sample: Sample,
    completion: Completion,
    form: Variant | LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter, or the one that is named, is the right one."""
    if isinstance(form, Variant):
        letter = found_answer(form.answer(sample, completion.text), "答案: A")
        assert letter == sample["answer"]
        return
    target = targets.answer_letter(sample)
    choices, likelihoods = form.choices(sample), completion.likelihoods
    score = likelihood.choice_scores(choices, likelihoods, target, form.kind)[form.metric]
    record_metric(form.metric, score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
