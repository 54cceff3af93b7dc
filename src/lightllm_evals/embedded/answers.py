"""Canned answers for the simulated backend, from JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError

UNKNOWN_PROMPT_ANSWER = "I do not know this prompt."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model is made to say.

    Attributes:
        completion: The text.
        output_tokens: Its length in tokens, the stopping one included; None for as many as
            its words and marks make.
    """

    completion: str
    output_tokens: int | None = None


UNKNOWN = Answer(completion=UNKNOWN_PROMPT_ANSWER)


class Answers:
    """The answers by prompt; a prompt with several gives them in turn."""

    def __init__(self, by_prompt: Mapping[str, Sequence[Answer]]) -> None:
        self._by_prompt = dict(by_prompt)
        # A form of a prompt may leave out its trailing white space; it is the same prompt.
        self._by_stripped = {prompt.rstrip(): a for prompt, a in by_prompt.items()}

    def __bool__(self) -> bool:
        return bool(self._by_prompt)

    def find(self, prompt: str) -> Sequence[Answer] | None:
        """Returns the answers to a prompt, None when it has none."""
        found = self._by_prompt.get(prompt)
        return found if found is not None else self._by_stripped.get(prompt.rstrip())


def read_answers(path: Path) -> Answers:
    """Returns the answers in a file of lines ``{"prompt", "completion", "output_tokens"}``.

    Raises:
        ConfigError: The file cannot be read, or a line is no answer.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the answers in {path}: {error}.") from error
    by_prompt: dict[str, list[Answer]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            prompt, answer = _answer(line, f"{path}, line {number}")
            by_prompt.setdefault(prompt, []).append(answer)
    return Answers(by_prompt)


def _answer(line: str, where: str) -> tuple[str, Answer]:
    try:
        record: Any = json.loads(line)
        prompt, completion = record["prompt"], record["completion"]
        output_tokens = record.get("output_tokens")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'{where} is not {{"prompt": ..., "completion": ...}}: {error}.'
        ) from error
    is_valid = isinstance(prompt, str) and isinstance(completion, str)
    if not is_valid or not (output_tokens is None or _is_count(output_tokens)):
        raise ConfigError(
            f"{where}: prompt and completion must be text, output_tokens a whole number from 1."
        )
    return prompt, Answer(completion=completion, output_tokens=output_tokens)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
