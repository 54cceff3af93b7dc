"""Code blocks in a chat model's answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"^[ \t]*(?:async +)?def |^[ \t]+return\b", re.MULTILINE)


def blocks(text: str) -> list[str]:
    """Returns the contents of the fenced blocks; the last one may be unclosed."""
    return _FENCE.findall(text)


def has_code(text: str) -> bool:
    """Returns whether there is a fenced block or a line that begins like a function."""
    return bool(_FENCE.search(text) or _FUNCTION.search(text))


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
