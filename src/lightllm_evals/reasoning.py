"""Takes a model's thinking out of a completion, so that only its answer is judged.

Reasoning models write ``<think> ... </think>`` before the answer, or the chat template has
written ``<think>`` already and the completion begins inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What marks the thinking in a model's completions.

    Attributes:
        start: Text that begins it.
        end: Text that ends it.
        is_open: The server's chat template has begun it already, so that completions begin
            inside; prompts that we render tell so by their end.
    """

    start: str = "<think>"
    end: str = "</think>"
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """A completion without its thinking.

    Attributes:
        text: What is left; "" where the completion ends inside the thinking and has nothing
            before it.
        num_blocks: Blocks that were removed.
        is_unclosed: The completion ends inside the last of them.
    """

    text: str
    num_blocks: int = 0
    is_unclosed: bool = False


def without_thinking(
    text: str, reasoning: Reasoning, *, is_open: bool = False, stops: Iterable[str] = ()
) -> Thought:
    """Returns a completion without its blocks of thinking, cut at the earliest stop text.

    A start inside a block is part of it. An end outside of one closes what the prompt opened:
    all text since the block before belongs to it. Newlines after a block belong to the template.

    Args:
        text: The completion.
        reasoning: What marks a block.
        is_open: The completion begins inside a block.
        stops: Texts that end the answer; in the thinking they mean nothing.
    """
    kept: list[str] = []
    num_blocks = 0
    is_inside, rest = is_open, text
    while True:
        before, end, after = rest.partition(reasoning.end)
        start = -1 if is_inside else before.find(reasoning.start)
        if not is_inside and start < 0 and not end:
            kept.append(rest)
            break
        num_blocks += 1
        if start >= 0:
            kept.append(before[:start])
        if not end:
            return Thought(text=_answer(kept, stops), num_blocks=num_blocks, is_unclosed=True)
        is_inside, rest = False, after.lstrip("\n")
    return Thought(text=_answer(kept, stops), num_blocks=num_blocks)


def _answer(pieces: Iterable[str], stops: Iterable[str]) -> str:
    text = "".join(pieces)
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
