r"""MATH answers by math-verify, and by Minerva's normalised text beside it.

Minerva's rules: Aitor Lewkowycz et al., 2022, https://arxiv.org/abs/2206.14858, appendix D,
with the repairs of lm-evaluation-harness 0.4.13 (``lm_eval/tasks/minerva_math/utils.py``).
Deviation: texts are compared after normalisation, without that task's sympy equivalence;
equivalence is math-verify's part, https://github.com/huggingface/Math-Verify.
"""

from __future__ import annotations

import functools
import logging
import re
import signal
from collections.abc import Callable
from typing import Any, TypeVar

from lightllm_evals.errors import ConfigError, DatasetError
from lightllm_evals.records import Sample

T = TypeVar("T")

_FINAL = re.compile(r"Final Answer: The final answer is(.*?). I hope it is correct.")

_SUBSTITUTIONS = (
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
)
_WORDS = (
    *("square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units"),
    *("sue", "points", "feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds"),
    *("meters", "meals", "edges", "students", "childrentickets", "multiples"),
)
_MARKS = (
    *("\\ldots", "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3"),
    *("\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}", "\\;", ",\\!", "{,}"),
    *('"', "\\dots"),
)
_WRAPPERS = (
    (re.compile(r"(.*?)(\$)(.*?)(\$)(.*)"), r"$\3$"),
    (re.compile(r"(\\text\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\textbf\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\overline\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\boxed\{)(.*)(\})"), r"\2"),
    # Shorthand: \frac12 is \frac{1}{2}, \sqrt3 is \sqrt{3}, \sqrt[3]8 is \sqrt[3]{8}.
    (re.compile(r"(frac)([^{])(.)"), r"frac{\2}{\3}"),
    (re.compile(r"(sqrt)(\[[^\]]*\])(\w)"), r"\1\2{\3}"),
    (re.compile(r"(sqrt)(?!\[)([^{])"), r"sqrt{\2}"),
)
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+")
_COMMAND = re.compile(r"(\\[a-zA-Z]+)")

# What math-verify gives each of its steps, there by the clock.
_STEP_CPU_S = 5.0


def final_answer(sample: Sample, text: str) -> str:
    """Returns what Minerva's closing sentence says, "" where there is no such sentence."""
    del sample
    # The end of a completion counts as the end of the sentence.
    found = _FINAL.search(f"{text}I hope it is correct.")
    return found.group(1).strip() if found else ""


def boxed_answer(sample: Sample, text: str) -> str:
    r"""Returns what the last ``\boxed{...}`` holds, "" where there is none or it is unclosed."""
    del sample
    start = text.rfind("\\boxed{")
    if start < 0:
        return ""
    depth = 0
    for index in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : index].strip()
    return ""


def normalized(answer: str) -> str:
    """Returns an answer without units, wrappers and spelling variants."""
    answer = answer.rsplit("=", maxsplit=1)[-1]
    for word in _WORDS:
        answer = re.sub(rf"(?<!\\)\b{word}\b", "", answer)
    for before, after in _SUBSTITUTIONS:
        answer = answer.replace(before, after)
    for word in _WORDS:
        answer = _without(answer, word)
    for mark in _MARKS:
        answer = answer.replace(mark, "")
    for pattern, replacement in _WRAPPERS:
        answer = pattern.sub(replacement, answer)
    answer = answer.replace("$", "")
    return answer.replace(",", "") if _THOUSANDS.fullmatch(answer) else answer


def _without(answer: str, word: str) -> str:
    # "ft" must not be taken out of "\left".
    parts = _COMMAND.split(answer)
    parts[::2] = [part.replace(word, "") for part in parts[::2]]
    return "".join(parts)


def is_exact_match(sample: Sample, text: str, *, is_box_read: bool = True) -> bool:
    """Returns whether the final answer is the target after normalisation.

    Minerva reads its closing sentence alone; ``is_box_read`` takes a boxed answer where there is
    none.
    """
    answer = final_answer(sample, text) or (boxed_answer(sample, text) if is_box_read else "")
    return bool(answer) and normalized(answer) == normalized(sample["answer"])


def readable_answer(text: str) -> str:
    """Returns a completion as it is, "" where math-verify finds nothing in it.

    Raises:
        ConfigError: math-verify is not installed.
    """
    return text if _parsed(text) else ""


def is_verified(sample: Sample, text: str) -> bool:
    """Returns whether math-verify finds an answer equal to the solution's in a completion.

    A step that needs more than 5 s of CPU finds nothing, or unequal. Of a completion it evaluates
    nothing but digits and arithmetic signs.

    Raises:
        ConfigError: math-verify is not installed.
        DatasetError: It finds no answer in the solution: there is nothing to compare with.
    """
    target = _parsed(sample["solution"])
    if not target:
        raise DatasetError(f"math-verify finds no answer in the solution of {sample.id}.")
    found = _parsed(text)
    verify = _math_verify().verify
    return _limited(lambda: bool(verify(target, found, timeout_seconds=None)), False)


# A text is looked at for whether it has an answer, and for which.
@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> list[Any]:
    parse = _math_verify().parse
    return _limited(lambda: list(parse(text, parsing_timeout=None)), [])


def _math_verify() -> Any:
    try:
        # Only this benchmark needs it: sympy takes a second to import.
        import math_verify  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "MATH-500 needs math-verify: pip install 'lightllm-evals[math]'."
        ) from error
    # It warns of limits that are not its own, and of every text without an answer.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return math_verify


class _OutOfTimeError(BaseException):
    """No Exception: sympy and math-verify catch those and go on."""


def _limited(step: Callable[[], T], otherwise: T) -> T:
    """Returns what a step returns, ``otherwise`` when it has used up its CPU time.

    Waiting for a CPU is no fault of an answer, so the clock does not count.
    """

    def expire(*_: Any) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGPROF, expire)
    signal.setitimer(signal.ITIMER_PROF, _STEP_CPU_S)
    try:
        return step()
    except _OutOfTimeError:
        return otherwise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
