"""HumanEval+ and MBPP+ completions to programs, and their inputs to tests.

Source of the clean-up: https://github.com/evalplus/evalplus, ``evalplus/sanitize.py``: of the
longest text that parses, what the entry point needs is kept. Here only the end is cut until
it parses; evalplus also cuts at the start, which matters for prose around code, where we take
the fenced block instead.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from lightllm_evals.prompts.evalplus import completion_prompt
from lightllm_evals.records import Sample
from lightllm_evals.scoring import comparison
from lightllm_evals.scoring.fences import block_with, has_code

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def completed_program(sample: Sample, text: str) -> str:
    """Returns the prompt with its completion, cleaned up."""
    return sanitized(completion_prompt(sample) + text, sample["entry_point"])


def instruct_program(sample: Sample, text: str) -> str:
    """Returns the fenced block that defines or names the entry point, cleaned up; else the text.

    "" for a text without code.
    """
    name = sample["entry_point"]
    if not has_code(text):
        return ""
    code = block_with(text, [name])
    return sanitized(code if re.search(rf"\b{re.escape(name)}\b", code) else text, name)


def sanitized(code: str, entry_point: str) -> str:
    """Returns what the entry point needs of the longest beginning that parses.

    That is: imports, assignments, and definitions reachable from it, in their order. Where
    nothing defines the entry point the code is returned as it is, and fails by itself.
    """
    tree = _longest_parsed(code)
    if tree is None:
        return code
    definitions = {node.name: node for node in tree.body if isinstance(node, Definition)}
    if entry_point not in definitions:
        return code
    needed = _reachable(entry_point, definitions)
    kept = [node for node in tree.body if _is_kept(node, needed)]
    return f"{ast.unparse(ast.Module(body=kept, type_ignores=[]))}\n"


def _longest_parsed(code: str) -> ast.Module | None:
    lines = code.split("\n")
    for end in range(len(lines), 0, -1):
        tree = _parsed("\n".join(lines[:end]))
        if tree is not None:
            return tree
    return None


def _parsed(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            # What a model writes may have unescaped backslashes.
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree


def _is_kept(node: ast.stmt, needed: set[str]) -> bool:
    if isinstance(node, Definition):
        return node.name in needed
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign))


def _reachable(start: str, definitions: dict[str, Definition]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for node in ast.walk(definitions[waiting.pop()]):
            if isinstance(node, ast.Name) and node.id in definitions and node.id not in found:
                found.add(node.id)
                waiting.append(node.id)
    return found


def reference_solution(sample: Sample) -> str:
    """Returns the data set's own solution as a whole program."""
    solution = str(sample["canonical_solution"])
    # HumanEval+'s solutions are bodies, MBPP+'s whole functions.
    is_whole = f"def {sample['entry_point']}" in solution
    return f"{solution if is_whole else sample['prompt'] + solution}\n"


def base_tests(sample: Sample, extra_s: float = 0.0) -> str | None:
    """Returns tests that compare a program with the reference on the original inputs.

    ``extra_s`` is given to every input beyond its limit.
    """
    return _tests(sample, sample["base_input"], extra_s)


def plus_tests(sample: Sample, extra_s: float = 0.0) -> str | None:
    """Returns the same on the added inputs, None where there are none (Mbpp/793)."""
    return _tests(sample, sample["plus_input"], extra_s)


def more_time(detail: str, delay_s: float, extra_s: float) -> float:
    """Returns how many seconds more an input needs for a fair verdict, 0 if this one is.

    Limits of inputs are of the clock, and a busy machine's clock runs while a program waits.

    Args:
        detail: What the tests said.
        delay_s: How long the program waited for a CPU.
        extra_s: What every input had beyond its limit. At 4 times the limit no more is given.
    """
    is_waiting = delay_s > extra_s + comparison.MIN_LIMIT_S / 10
    is_last = extra_s >= 3 * comparison.MIN_LIMIT_S
    return 2 * delay_s if comparison.OUT_OF_TIME in detail and is_waiting and not is_last else 0.0


def _tests(sample: Sample, inputs: Sequence[Iterable[Any]], extra_s: float) -> str | None:
    if not inputs:
        return None
    name = sample["entry_point"]
    listed = [list(arguments) for arguments in inputs]
    return (
        f"{inspect.getsource(comparison)}\n"
        "inf, nan = math.inf, math.nan\n"
        f"check_outputs({name}, {name!r}, {reference_solution(sample)!r}, {listed!r}, "
        f"{sample['atol']!r}, extra_s={extra_s!r})\n"
    )
