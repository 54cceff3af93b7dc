"""C-Eval: A Multi-Level Multi-Discipline Chinese Evaluation Suite for Foundation Models.

Yuzhen Huang, Yuzhuo Bai, Zhihao Zhu, Junlei Zhang et al., 2023.
https://arxiv.org/abs/2305.08322 - https://cevalbenchmark.com

1,346 validation questions of 52 Chinese subjects with four lettered answers, behind the subject's
five of the dev split; the test split's answers are not public. A sample passes when the right
letter is the likeliest, in the form ``instruct``, for chat models, when it is the first capital
letter of the answer; published scores are the mean over subjects (macro).
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
from lightllm_evals.datasets import ceval
from lightllm_evals.prompts import exam_chats, exams
from lightllm_evals.scoring import found_answer, letters, likelihood, targets

VARIANTS: dict[str, Variant | LikelihoodVariant] = {
    # OpenCompass's text, with the letter alone scored: what Chinese model cards quote.
    "opencompass": LikelihoodVariant(
        choices=exams.ceval_opencompass, prefix=exams.ceval_opencompass_prefix, metric="acc"
    ),
    "reference": LikelihoodVariant(
        choices=exams.ceval_reference, prefix=exams.ceval_reference_prefix, metric="acc"
    ),
    # The whole text scored, as OpenCompass itself does (ceval_ppl_1cd8bf).
    "opencompass_ppl": LikelihoodVariant(
        choices=exams.ceval_opencompass,
        kind="ppl-full",
        prefix=exams.ceval_opencompass_prefix,
        metric="acc_ppl",
    ),
    # For chat models: --lightllm-api chat selects it (ceval_gen_5f30c7).
    "instruct": Variant(
        prompt=exam_chats.ceval_turns,
        max_new_tokens=1024,
        answer=letters.first_capital,
        is_chat=True,
    ),
}


@benchmark(
    "ceval",
    samples=ceval,
    variants=VARIANTS,
    chat_variant="instruct",
    metric="acc",
    kinds=["knowledge", "zh"],
    aggregation="macro",
)
def test_ceval(
    sample: Sample,
    completion: Completion,
    form: Variant | LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter, or the one that is named, is the right one."""
    if isinstance(form, Variant):
        letter = found_answer(form.answer(sample, completion.text), "a capital letter")
        assert letter == sample["answer"]
        return
    target = targets.answer_letter(sample)
    choices, likelihoods = form.choices(sample), completion.likelihoods
    score = likelihood.choice_scores(choices, likelihoods, target, form.kind)[form.metric]
    record_metric(form.metric, score)
    assert score == 1, likelihood.comparison(choices, likelihoods, target)
