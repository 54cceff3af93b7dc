"""IFEval's four accuracies: by prompt and by instruction, strict and loose.

Source: Jeffrey Zhou et al., "Instruction-Following Evaluation for Large Language Models",
2023, https://arxiv.org/abs/2311.07911, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightllm_evals.records import Sample
from lightllm_evals.scoring.instructions import is_followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Which of a prompt's instructions a response follows, in their order.

    Attributes:
        strict: The response as it is.
        loose: Any of eight variants of it, see ``loose_texts``.
    """

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def followed(sample: Sample, text: str) -> Followed:
    """Returns which of the sample's instructions a response follows.

    Raises:
        KeyError: The sample has an instruction of an unknown kind.
    """
    instructions = list(zip(sample["instruction_id_list"], sample["kwargs"], strict=True))
    texts = loose_texts(text)
    return Followed(
        strict=tuple(is_followed(kind, arguments, text) for kind, arguments in instructions),
        loose=tuple(
            any(is_followed(kind, arguments, variant) for variant in texts)
            for kind, arguments in instructions
        ),
    )


def loose_texts(text: str) -> tuple[str, ...]:
    """Returns the response with and without asterisks, first and last line."""
    lines = text.split("\n")
    cuts = (
        text,
        "\n".join(lines[1:]).strip(),
        "\n".join(lines[:-1]).strip(),
        "\n".join(lines[1:-1]).strip(),
    )
    return tuple(dict.fromkeys([*cuts, *(cut.replace("*", "") for cut in cuts)]))
