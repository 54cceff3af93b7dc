"""Who gets which of llama.cpp's slots: the one whose cache holds most of the prompt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence


class Slots:
    """Slots of a server, each with the text that it saw last.

    Args:
        number: How many there are; whoever comes later waits, first come first served.
    """

    def __init__(self, number: int) -> None:
        self._waiting = asyncio.Semaphore(number)
        # Least recently used first: of equally good ones the oldest text is given up.
        self._free = list(range(number))
        self._texts: dict[int, tuple[int, ...]] = dict.fromkeys(self._free, ())

    @contextlib.asynccontextmanager
    async def slot(self, token_ids: Sequence[int]) -> AsyncGenerator[int, None]:
        """Gives a slot to one prompt, as long as the block lasts."""
        async with self._waiting:
            best = max(self._free, key=lambda slot: _num_shared(self._texts[slot], token_ids))
            self._free.remove(best)
            self._texts[best] = tuple(token_ids)
            try:
                yield best
            finally:
                self._free.append(best)


def _num_shared(a: Sequence[int], b: Sequence[int]) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
