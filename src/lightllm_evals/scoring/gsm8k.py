r"""GSM8K answers, read strictly, flexibly, and as OpenCompass reads them.

Strict and flexible: lm-evaluation-harness 0.4.13, ``lm_eval/tasks/gsm8k/gsm8k.yaml`` and
``gsm8k-cot.yaml``, quirks included: a ``$`` after ``####`` is no answer, of ``\boxed{5}$.`` the
flexible reading takes ``$.``, and ``5.00`` is not ``5``. OpenCompass:
``opencompass/datasets/gsm8k.py``.
"""

from __future__ import annotations

import math
import re

from lightllm_evals.records import Sample

_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_SENTENCE = re.compile(r"The answer is (\-?[0-9\.\,]+).")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_NUMBER = re.compile(r"\-?\d+\.\d+|\-?\d+")
_RATIONALE = re.compile(r"(?s).*#### ")


def strict_answer(sample: Sample, text: str) -> str:
    """Returns what follows the first ``####``, "" where there is none."""
    del sample
    found = _STRICT.search(text)
    return found.group(1) if found else ""


def cot_answer(sample: Sample, text: str) -> str:
    """Returns what follows the first ``The answer is``, "" where there is none.

    One more character has to follow: where none does, the number loses its last digit.
    """
    del sample
    found = _SENTENCE.search(text)
    return found.group(1) if found else ""


def flexible_answer(sample: Sample, text: str) -> str:
    """Returns the last thing that looks like a number, "" where there is none."""
    del sample
    found = _FLEXIBLE.findall(text)
    return next(filter(None, found[-1])) if found else ""


def opencompass_answer(sample: Sample, text: str) -> str:
    """Returns the last number before a further question, "" where there is none.

    A number within 1e-6 of a whole one is written as that: OpenCompass takes both for equal.
    """
    del sample
    found = _NUMBER.findall(text.split("Question:", maxsplit=1)[0])
    return _whole(found[-1]) if found else ""


def _whole(number: str) -> str:
    if "." not in number:
        sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
        digits = digits.lstrip("0")
        return sign + digits if digits else "0"
    value = float(number)
    is_whole = math.isfinite(value) and abs(value - round(value)) < 1e-6
    return str(round(value)) if is_whole else number


def is_exact_match(sample: Sample, answer: str) -> bool:
    """Returns whether an answer is the target's text, after both lost ``,``, ``$`` and a dot."""
    return _plain(answer) == _plain(sample["answer"])


def _plain(text: str) -> str:
    text = _RATIONALE.sub("", text.replace(",", "").replace("$", ""))
    return re.sub(r"\.$", "", text).lower()
