"""The simulated backend's tokenizer: words as tokens, with ids that do not depend on order."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from zlib import crc32

VOCAB_SIZE = 90_000_000
"""So many ids that two words hardly ever meet in one."""

BOS_ID = 1
EOS_ID = 2
_SPECIALS = {0: "<|endoftext|>", BOS_ID: "<|im_start|>", EOS_ID: "<|im_end|>"}
_FIRST_BYTE_ID = 3
_FIRST_WORD_ID = _FIRST_BYTE_ID + 256

_PIECE = re.compile(r"\n|[^\S\n]+(?=\s|\Z)| ?\w+| ?[^\w\s]|\s", re.ASCII)


class PieceTokenizer:
    """Encodes text as words and decodes the ids of all words that it has seen."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = dict(_SPECIALS)
        self._ids: dict[str, tuple[int, ...]] = {}
        self._encode_cached = functools.lru_cache(maxsize=4096)(self._encode)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text; joining what they decode to gives the text again."""
        return list(self._encode_cached(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Returns the text of ids; one that never came from a text has none."""
        parts: list[str] = []
        raw = bytearray()
        for token_id in token_ids:
            if _FIRST_BYTE_ID <= token_id < _FIRST_WORD_ID:
                raw.append(token_id - _FIRST_BYTE_ID)
                continue
            parts.append(_flushed(raw))
            parts.append(self._texts.get(token_id, ""))
        return "".join([*parts, _flushed(raw)])

    def _encode(self, text: str) -> tuple[int, ...]:
        ids: list[int] = []
        for piece in _PIECE.findall(text):
            known = self._ids.get(piece)
            ids.extend(known if known is not None else self._learn(piece))
        return tuple(ids)

    def _learn(self, piece: str) -> tuple[int, ...]:
        raw = piece.encode("utf-8", "replace")
        token_id = _FIRST_WORD_ID + crc32(raw) % (VOCAB_SIZE - _FIRST_WORD_ID)
        if self._texts.setdefault(token_id, piece) == piece:
            ids: tuple[int, ...] = (token_id,)
        else:
            # Another word has this id: byte by byte then, as byte-level tokenizers do.
            ids = tuple(_FIRST_BYTE_ID + byte for byte in raw)
        self._ids[piece] = ids
        return ids


def _flushed(raw: bytearray) -> str:
    text = raw.decode("utf-8", "replace")
    raw.clear()
    return text
