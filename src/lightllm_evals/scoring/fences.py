"""Code blocks in a chat model's answer."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence

_FENCE = re.compile(
    r"(?:^(?P<indent>[ \t]+))?```[^\n`]*\n(?P<content>.*?)(?:\n?[ \t]*```|\Z)",
    re.DOTALL | re.MULTILINE,
)
_FUNCTION = re.compile(r"^[ \t]*(?:async +)?def |^[ \t]+return\b", re.MULTILINE)


def blocks(text: str) -> list[str]:
    """Returns the contents of the fenced blocks; the last one may be unclosed.

    A block in a list is indented as its fence is, and loses that.
    """
    return [
        _unindented(found["content"], found["indent"] or "") for found in _FENCE.finditer(text)
    ]


def _unindented(content: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in content.split("\n"))


def has_code(text: str) -> bool:
    """Returns whether a text has a fenced block or a function, or is code as a whole."""
    if _FENCE.search(text) or _FUNCTION.search(text):
        return True
    is_body = text[:1] in (" ", "\t")
    statements = _parsed(f"def f():\n{text}" if is_body else text)
    # A word or two of prose are an expression to Python.
    return (is_body and bool(statements)) or any(not isinstance(s, ast.Expr) for s in statements)


def _parsed(code: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            # What a model writes may have unescaped backslashes.
            warnings.simplefilter("ignore")
            return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def first_block(text: str) -> str:
    """Returns the content of the first fenced block, the whole text where there is none."""
    return next(iter(blocks(text)), text)


def block_with(text: str, names: Sequence[str]) -> str:
    """Returns the first fenced block that defines one of the functions, else the first one.

    The whole text where there is none.
    """
    found = blocks(text) or [text]
    is_definition = re.compile(rf"\bdef (?:{'|'.join(map(re.escape, names))})\b")
    return next((block for block in found if names and is_definition.search(block)), found[0])
