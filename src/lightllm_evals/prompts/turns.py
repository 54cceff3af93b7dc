"""The turns of a chat: with a system turn, and with few-shot examples in either form."""

from __future__ import annotations

from collections.abc import Sequence

from lightllm_evals.benchmark import FewshotForm
from lightllm_evals.records import Message


def with_shots(
    turns: Sequence[Message], shots: Sequence[Message], fewshot: FewshotForm | None
) -> tuple[Message, ...]:
    """Returns the turns behind a benchmark's few-shot examples.

    Args:
        turns: The sample's own.
        shots: The examples, user and assistant in turns.
        fewshot: "turns" keeps every turn, "text" makes one user turn of all; None does so with
            examples and leaves turns alone that have none, as published scores mostly do.
    """
    whole = (*shots, *turns)
    is_text = fewshot == "text" or (fewshot is None and bool(shots))
    return _joined(whole) if is_text else whole


def _joined(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Returns one user turn: an answer follows its question after a space, and a blank line it.

    So joins lm-evaluation-harness (``target_delimiter``, ``fewshot_delimiter``).
    """
    system = [turn for turn in turns if turn.role == "system"]
    text = ""
    for turn in turns:
        if turn.role == "user":
            text += turn.content
        elif turn.role == "assistant":
            gap = " " if text and not text[-1].isspace() else ""
            text += f"{gap}{turn.content}\n\n"
    return (*system, Message(role="user", content=text))


def with_system(turns: Sequence[Message], system_prompt: str) -> tuple[Message, ...]:
    """Returns the turns behind a system prompt, unless they have one of their own."""
    if not system_prompt or any(turn.role == "system" for turn in turns):
        return tuple(turns)
    return (Message(role="system", content=system_prompt), *turns)
