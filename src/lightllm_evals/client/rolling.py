"""Cuts a long text into windows that a model scores, each token once.

Source: lm-evaluation-harness, ``lm_eval/utils.py``, ``get_rolling_token_windows`` with a context
of one token, and ``make_disjoint_window``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_BOUNDARY = re.compile(r"(?<=\S)(?=\s)")


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


def split_text(text: str, length: int) -> list[str]:
    """Returns a text in pieces of at most ``length`` characters, as far as it has white space.

    Pieces end before white space, where tokenizers of the GPT family split anyway: their tokens
    together are those of the whole, which the caller checks.
    """
    pieces = []
    begin = 0
    while len(text) - begin > length:
        cuts = [found.start() for found in _BOUNDARY.finditer(text, begin + 1, begin + length + 1)]
        end = cuts[-1] if cuts else begin + length
        pieces.append(text[begin:end])
        begin = end
    return [*pieces, text[begin:]]
