"""The last word of a LAMBADA passage, read off a completion as OpenCompass reads it.

``LambadaEvaluator`` in ``opencompass/datasets/lambada.py`` and ``general_postprocess`` of
https://github.com/open-compass/opencompass.
"""

from __future__ import annotations

import re
import string

from lightllm_evals.records import Sample

# As the reference writes it: the backslash escapes the bracket and is no punctuation.
_PUNCTUATION = re.compile(f"[{string.punctuation}]")
_END = re.compile(r"[\n.,]")
_NO_WORD = re.compile(r"[^\w\s]")
_ARTICLE = re.compile(r"\b(a|an|the)\b", re.IGNORECASE)


def first_word(sample: Sample, text: str) -> str:
    """Returns what stands before the first space or punctuation mark; "" if nothing does.

    Two passages' last words begin a line after an article, of which nothing is left to compare
    with: no completion is right there. The reference takes one without a word.
    """
    del sample
    return _plain(_PUNCTUATION.split(text.strip().split(" ")[0])[0])


def last_word(sample: Sample) -> str:
    """Returns the passage's last word in the form that ``first_word`` has."""
    return _plain(sample["text"].rpartition(" ")[2])


def _plain(text: str) -> str:
    text = _ARTICLE.sub("", _NO_WORD.sub("", _END.split(text, maxsplit=1)[0]))
    return " ".join(text.split())
