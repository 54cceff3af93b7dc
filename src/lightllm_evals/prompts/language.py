"""LAMBADA's last words and WikiText-2's articles as texts to score.

Reference forms: lm-evaluation-harness 0.4.13, tasks ``lambada_openai`` and ``wikitext``;
OpenCompass's ``lambada_gen_217e11``.
"""

from __future__ import annotations

import re

from lightllm_evals.records import Choice, Sample


def lambada(sample: Sample) -> tuple[Choice, ...]:
    """Returns the last word behind the passage; only a space parts words, not a newline."""
    context, _, word = sample["text"].rpartition(" ")
    return (Choice(context=context, continuation=f" {word}", text=word),)


def lambada_opencompass(sample: Sample) -> str:
    """Returns a request to complete the passage, its last word taken off."""
    return f"Please complete the following sentence:\n{sample['text'].rpartition(' ')[0]}"


# In this order: later rules see what earlier ones left.
_RULES: tuple[tuple[str, str], ...] = (
    (r"s '", "s'"),
    (r"/' [0-9]/", "/'[0-9]/"),
    (r" @-@ ", "-"),
    (r" @,@ ", ","),
    (r" @\.@ ", "."),
    *((rf" {re.escape(mark)} ", f"{mark} ") for mark in ":;.!?,"),
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
    (r"'\s*([^']*?)\s*'", r"'\1'"),
    (r"= = = =", "===="),
    (r"= = =", "==="),
    (r"= =", "=="),
    (r" ° ", "°"),
    (r" \n", "\n"),
    (r"\n ", "\n"),
    (r" N ", " 1 "),
    (r" 's", "'s"),
)


def detokenized(page: str) -> str:
    """Returns an article without WikiText's spaces around punctuation."""
    for pattern, replacement in _RULES:
        page = re.sub(pattern, replacement, page)
    return page


def wikitext2(sample: Sample) -> tuple[Choice, ...]:
    """Returns the whole article as one text to score."""
    text = detokenized(sample["page"])
    return (Choice(context="", continuation=text, text=text),)
