"""WikiText-2: Pointer Sentinel Mixture Models.

Stephen Merity, Caiming Xiong, James Bradbury and Richard Socher, 2016.
https://arxiv.org/abs/1609.07843 - https://huggingface.co/datasets/Salesforce/wikitext

The test split's 62 articles, detokenized, each token scored once in windows of the model's length.
The headline is the perplexity a word; words and bytes are counted in the original text. There is
no right or wrong: a sample passes when it was measured.
"""

from __future__ import annotations

import math

from lightllm_evals import Likelihood, LikelihoodVariant, RecordMetric, Sample, benchmark
from lightllm_evals.datasets import wikitext2
from lightllm_evals.prompts import language
from lightllm_evals.scoring import likelihood

VARIANTS = {"reference": LikelihoodVariant(choices=language.wikitext2, kind="rolling")}


@benchmark(
    "wikitext2",
    samples=wikitext2,
    variants=VARIANTS,
    metric="word_perplexity",
    kinds=["language"],
)
def test_wikitext2(
    sample: Sample,
    likelihoods: tuple[Likelihood, ...],
    record_metric: RecordMetric,
) -> None:
    """The article has a log-probability."""
    (article,) = likelihoods
    loss = -article.logprob
    num_bytes = len(sample["page"].encode())
    record_metric("word_perplexity", loss, weight=likelihood.num_original_words(sample["page"]))
    record_metric("byte_perplexity", loss, weight=num_bytes)
    record_metric("bits_per_byte", loss / math.log(2), weight=num_bytes)
