r"""MATH answers by math-verify, and by Minerva's normalised text beside it.

Minerva's rules: Aitor Lewkowycz et al., 2022, https://arxiv.org/abs/2206.14858, appendix D,
with the repairs of lm-evaluation-harness 0.4.13 (``lm_eval/tasks/minerva_math/utils.py``).
Deviation: texts are compared after normalisation, without that task's sympy equivalence;
equivalence is math-verify's part, https://github.com/huggingface/Math-Verify.
"""

from __future__ import annotations

import re

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Sample

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


def any_answer(sample: Sample, text: str) -> str:
    """Returns Minerva's final answer, else a boxed one, else the whole text, stripped.

    math-verify finds an answer in free text by itself; only an empty completion has none.
    """
    return final_answer(sample, text) or boxed_answer(sample, text) or text.strip()


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


def is_exact_match(sample: Sample, text: str) -> bool:
    """Returns whether the final or boxed answer is the target after normalisation."""
    answer = final_answer(sample, text) or boxed_answer(sample, text)
    return bool(answer) and normalized(answer) == normalized(sample["answer"])


def is_verified(sample: Sample, text: str) -> bool:
    """Returns whether math-verify finds an answer equal to the solution's in a completion.

    It has 5 s for each of its steps and takes a step that needs more for unequal. Of a
    completion it evaluates nothing but digits and arithmetic signs.

    Raises:
        ConfigError: math-verify is not installed.
    """
    try:
        # Only this benchmark needs it: sympy takes a second to import.
        from math_verify import parse, verify  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "MATH-500 needs math-verify: pip install 'lightllm-evals[math]'."
        ) from error
    return bool(verify(parse(sample["solution"]), parse(text)))
