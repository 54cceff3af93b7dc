"""LAMBADA: The LAMBADA Dataset: Word Prediction Requiring a Broad Discourse Context.

Denis Paperno, Germán Kruszewski, Angeliki Lazaridou, Quan Ngoc Pham et al., 2016.
https://arxiv.org/abs/1606.06031 - https://zenodo.org/record/2630551

5,153 passages in OpenAI's form. A sample passes when greedy decoding goes on with just the tokens
of the last word (``acc``); ``perplexity`` is that of the last words, a word counting once. In the
form ``opencompass`` it passes when the first of five generated tokens make that word.
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
from lightllm_evals.datasets import lambada
from lightllm_evals.prompts import language
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import lambada as scoring

VARIANTS: dict[str, Variant | LikelihoodVariant] = {
    "reference": LikelihoodVariant(choices=language.lambada, needs_greedy=True),
    # A request to complete the sentence, for servers that score no texts (lambada_gen_217e11).
    "opencompass": Variant(
        prompt=language.lambada_opencompass,
        max_new_tokens=5,
        answer=scoring.first_word,
    ),
}


@benchmark("lambada", samples=lambada, variants=VARIANTS, metric="acc", kinds=["language"])
def test_lambada(
    sample: Sample,
    completion: Completion,
    form: Variant | LikelihoodVariant,
    record_metric: RecordMetric,
) -> None:
    """Greedy decoding gives the last word."""
    if isinstance(form, Variant):
        answer = found_answer(form.answer(sample, completion.text), "of a word")
        assert answer == scoring.last_word(sample)
        return
    (word,) = completion.likelihoods
    record_metric("acc", float(bool(word.is_greedy)))
    record_metric("perplexity", -word.logprob)
    assert word.is_greedy, f"greedy decoding goes on otherwise ({word.logprob:.3f} for the word)"
