"""Which names tests take from the candidate."""

from __future__ import annotations

import ast
import builtins
import warnings

from lightllm_evals.errors import SandboxError


def wanted_by(tests: str, prelude: str) -> list[str]:
    """Returns the names that the tests read and that neither they nor the prelude define.

    Builtins are never among them: a program that could supply ``len`` or ``sorted`` to its own
    tests would pass them. Name such entry points explicitly.

    Raises:
        SandboxError: The tests or the prelude are no Python.
    """
    read, bound = _names(_parsed(tests, "tests"))
    _, defined = _names(_parsed(prelude, "prelude"))
    return sorted(read - bound - defined - set(dir(builtins)))


def _parsed(source: str, what: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # "\\w" in a data set is its author's matter, also where warnings are errors.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SandboxError(f"The {what} are no Python: {error}. Correct the data set.") from error


def _names(tree: ast.Module) -> tuple[set[str], set[str]]:
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return read, bound
