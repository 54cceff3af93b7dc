"""Cuts a long text into windows that a model scores, each token once.

Source: lm-evaluation-harness, ``lm_eval/utils.py``, ``get_rolling_token_windows`` with a context
of one token, and ``make_disjoint_window``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ANCHOR = "a"
"""Stands before a piece that begins with white space; no tokenizer joins the two."""

_WORD = re.compile(r"\s*\S+|\s+")

_MAX_CHARACTER_BYTES = 4


class Window(NamedTuple):
    """Tokens to send, of which those from ``start`` on are scored."""

    token_ids: tuple[int, ...]
    start: int


def windows(token_ids: Sequence[int], prefix_id: int, length: int) -> Iterator[Window]:
    """Yields the windows of a text.

    Args:
        token_ids: The text. Shape [n].
        prefix_id: The token before the first one (BOS or end of text).
        length: Tokens that a window scores at most, >= 1. One more is sent, as context; the
            last window has as much context as fits.
    """
    everything = (prefix_id, *token_ids)
    num_scored = 0
    while num_scored < len(token_ids):
        num_new = min(len(token_ids) - num_scored, length)
        end = 1 + num_scored + num_new
        begin = max(0, end - length - 1)
        yield Window(everything[begin:end], end - num_new - begin)
        num_scored += num_new


def split_text(text: str, num_bytes: int) -> list[str]:
    """Returns a text in pieces of at most so many bytes of UTF-8, one piece for an empty text.

    No tokenizer makes more tokens than bytes. Pieces end before white space, where tokenizers
    split anyway: their tokens together are those of the whole, which the caller checks. A word
    that is too long is cut all the same; a piece has a character at least.
    """
    pieces = [""]
    size = 0
    for part in _parts(text, num_bytes):
        part_size = _size(part)
        if pieces[-1] and size + part_size > num_bytes:
            pieces.append("")
            size = 0
        pieces[-1] += part
        size += part_size
    return pieces


def _parts(text: str, num_bytes: int) -> Iterator[str]:
    """Yields words with the white space before them, those that are too long in parts."""
    step = max(num_bytes // _MAX_CHARACTER_BYTES, 1)
    for word in _WORD.findall(text):
        if _size(word) <= num_bytes:
            yield word
        else:
            yield from (word[begin : begin + step] for begin in range(0, len(word), step))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
