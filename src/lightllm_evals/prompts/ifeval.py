"""IFEval's prompts, sent as they are."""

from __future__ import annotations

from lightllm_evals.records import Message, Sample


def bare_prompt(sample: Sample) -> str:
    """Returns the prompt as the data set has it."""
    return str(sample["prompt"])


def user_turn(sample: Sample) -> tuple[Message, ...]:
    """Returns the prompt as the only user turn."""
    return (Message(role="user", content=bare_prompt(sample)),)
