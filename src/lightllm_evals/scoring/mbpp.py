"""MBPP completions to programs and their tests.

Reference form: completion plus the problem's asserts, as in lm-evaluation-harness's ``mbpp``.
OpenCompass's extraction: the twenty patterns of ``MBPPEvaluator`` in
https://github.com/open-compass/opencompass, ``opencompass/datasets/mbpp.py``, in its order.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any

from lightllm_evals.records import Sample
from lightllm_evals.scoring.fences import block_with, has_code


def reference_program(sample: Sample, text: str) -> str:
    """Returns the completion as it is: nothing is stripped."""
    del sample
    return f"{text}\n"


def instruct_program(sample: Sample, text: str) -> str:
    """Returns the fenced block that defines what is tested, else the first block, or the text.

    "" for a text without code.
    """
    return f"{block_with(text, entry_points(sample))}\n" if has_code(text) else ""


# Where the code begins and ends: of all ends the last, of all beginnings the first that has one.
# OpenCompass says it in one regular expression each, which takes cubic time on blanks.
_BEGINS_AND_ENDS = (
    *(
        (rf"{begin}\s*{opening}", closing + done)
        for opening, closing in (("'", r"'\s*"), ("'", ""), ("", ""))
        for begin, done in (
            (r"\[BEGIN\]", r"\[DONE\]"),
            (r"BEGIN", r"\[DONE\]"),
            (r"\[BEGIN\]", r"DONE"),
            (r"BEGIN", r"DONE"),
        )
    ),
    (r"```python\s*", r"```"),
    (r"```\s*", r"```"),
    (r"```python\s*", r"\Z"),
    (r"```\s*", r"\Z"),
    (r"\A", r"```"),
    (r"\[BEGIN\]\s*'", r"\Z"),
    (r"\[BEGIN\]", r"\Z"),
    (r"'", r"'\s*\[DONE\]"),
)
_MARKS = tuple((re.compile(begin), re.compile(end)) for begin, end in _BEGINS_AND_ENDS)
_DONE = re.compile(r"'?\s*\[?DONE\]?")


def _between(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str | None:
    ends = [found.start() for found in end.finditer(text)]
    for found in begin.finditer(text):
        if ends and found.end() <= ends[-1]:
            return text[found.end() : ends[-1]]
    return None


def opencompass_program(sample: Sample, text: str) -> str:
    """Returns what the first matching pattern takes out of the text, cleaned up."""
    found = (_between(text, begin, end) for begin, end in _MARKS)
    code = next((code for code in found if code is not None), text)
    code = _DONE.split(code.split("```", maxsplit=1)[0], maxsplit=1)[0]
    imports = "\n".join(sample.fields.get("test_imports", ()))
    return f"{imports}\n{code.replace(chr(92) + '_', '_').strip()}\n".lstrip("\n")


def unit_tests(sample: Sample) -> str:
    """Returns the problem's asserts, after the imports that they need."""
    return "\n".join([*sample.fields.get("test_imports", ()), *sample["test_list"], ""])


def entry_points(sample: Sample) -> list[str]:
    """Returns the names that the asserts call and the reference solution defines.

    MBPP names no entry point; asserts also call builtins and each other's helpers.
    """
    defined = _defined_names(sample.fields)
    called: dict[str, None] = {}
    for test in sample["test_list"]:
        for node in ast.walk(_parsed(test)):
            if isinstance(node, ast.Name) and node.id in defined:
                called[node.id] = None
    return list(called)


def _defined_names(row: Mapping[str, Any]) -> set[str]:
    return {
        node.name
        for node in ast.walk(_parsed(row["code"]))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        # The data set has regular expressions with unescaped backslashes.
        warnings.simplefilter("ignore")
        return ast.parse(code)
