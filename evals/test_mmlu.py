"""MMLU: Measuring Massive Multitask Language Understanding.

Dan Hendrycks, Collin Burns, Steven Basart, Andy Zou et al., 2020.
https://arxiv.org/abs/2009.03300 - https://github.com/hendrycks/test

14,042 exam questions of 57 subjects with four lettered answers, behind the subject's first five
questions of the dev split. A sample passes when the right letter is the likeliest; in the form
``cloze``, which has no shots, the right text, by characters (``acc_norm``); in the form ``cot``,
for chat models, when the completion names it behind its first ``ANSWER:``. Published scores are
the mean over questions (micro) or, with OpenCompass, over subjects (macro).
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
from lightllm_evals.datasets import mmlu
from lightllm_evals.prompts import exam_chats, exams
from lightllm_evals.scoring import found_answer, letters, likelihood, targets

VARIANTS: dict[str, Variant | LikelihoodVariant] = {
    "reference": LikelihoodVariant(choices=exams.mmlu, prefix=exams.mmlu_prefix, metric="acc"),
    # What Llama-2-7B's 46.78 on OpenCompass's leaderboard compares with (mmlu_ppl_ac766d).
    "opencompass": LikelihoodVariant(
        choices=exams.mmlu_opencompass,
        kind="ppl-full",
        prefix=exams.mmlu_opencompass_prefix,
        metric="acc_ppl",
    ),
    # For small models, which cannot tell letters; what the cards of SmolLM2 compare with.
    "cloze": LikelihoodVariant(choices=exams.mmlu_cloze, metric="acc_norm"),
    # For chat models: --lightllm-api chat selects it (mmlu_openai_simple_evals_gen_b618ea).
    "cot": Variant(
        prompt=exam_chats.mmlu_turn,
        max_new_tokens=2048,
        answer=letters.english_letter,
        is_chat=True,
    ),
}


@benchmark(
    "mmlu",
    samples=mmlu,
    variants=VARIANTS,
    chat_variant="cot",
    metric="acc",
    kinds=["knowledge"],
)
def test_mmlu(
    sample: Sample,
    completion: Completion,
    form: Variant | LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """The likeliest letter or text, or the letter that is named, is the right one."""
    target = targets.answer_index(sample)
    if isinstance(form, Variant):
        letter = found_answer(form.answer(sample, completion.text), "ANSWER: A")
        assert letter == "ABCD"[target]
        return
    choices, likelihoods = form.choices(sample), completion.likelihoods
    scores = likelihood.choice_scores(choices, likelihoods, target, form.kind)
    # Letters are of one length: by characters or bytes they would be the same figures again.
    for name in scores if form.metric == "acc_norm" else (form.metric,):
        record_metric(name, scores[name])
    assert scores[form.metric] == 1, likelihood.comparison(choices, likelihoods, target)
