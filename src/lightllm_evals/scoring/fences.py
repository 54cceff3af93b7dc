"""Code blocks in a chat model's answer."""

from __future__ import annotations

import re

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
