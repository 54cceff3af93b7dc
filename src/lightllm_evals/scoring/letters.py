"""Letters that chat models answer exam questions with, as OpenCompass reads them.

``match_answer_pattern`` and ``first_capital_postprocess`` of
https://github.com/open-compass/opencompass (``opencompass/utils/text_postprocessors.py``), quirks
included: the first match counts, "answer: a" is not the answer A, and "Answer: Both" is B.
"""

from __future__ import annotations

import re

from lightllm_evals.records import Sample

_ENGLISH = re.compile(r"(?i)ANSWER\s*:\s*([A-D])")
_CHINESE = re.compile(r"(?i)答案\s*:\s*[\W]*([A-D])[\W]*")


def english_letter(sample: Sample, text: str) -> str:
    """Returns the letter behind the first ``ANSWER:``, "" where there is none (MMLU)."""
    del sample
    found = _ENGLISH.search(text)
    return found.group(1) if found else ""


def chinese_letter(sample: Sample, text: str) -> str:
    """Returns the letter behind the first ``答案:``, "" where there is none (CMMLU)."""
    del sample
    found = _CHINESE.search(text)
    return found.group(1) if found else ""


def first_capital(sample: Sample, text: str) -> str:
    """Returns the first capital letter of any script, "" where there is none (C-Eval)."""
    del sample
    return next((character for character in text if character.isupper()), "")
