"""LAMBADA: The LAMBADA Dataset: Word Prediction Requiring a Broad Discourse Context.

Denis Paperno, Germán Kruszewski, Angeliki Lazaridou, Quan Ngoc Pham et al., 2016.
https://arxiv.org/abs/1606.06031 - https://zenodo.org/record/2630551

5,153 passages in OpenAI's form. A sample passes when greedy decoding goes on with just the tokens
of the last word (``acc``); ``perplexity`` is that of the last words, a word counting once.
"""

from __future__ import annotations

from lightllm_evals import Likelihood, LikelihoodVariant, RecordMetric, benchmark
from lightllm_evals.datasets import lambada
from lightllm_evals.prompts import language

VARIANTS = {"reference": LikelihoodVariant(choices=language.lambada, needs_greedy=True)}


@benchmark("lambada", samples=lambada, variants=VARIANTS, metric="acc", kinds=["language"])
def test_lambada(
    likelihoods: tuple[Likelihood, ...],
    record_metric: RecordMetric,
) -> None:
    """Greedy decoding gives the last word."""
    (word,) = likelihoods
    record_metric("acc", float(bool(word.is_greedy)))
    record_metric("perplexity", -word.logprob)
    assert word.is_greedy, f"greedy decoding goes on otherwise ({word.logprob:.3f} for the word)"
