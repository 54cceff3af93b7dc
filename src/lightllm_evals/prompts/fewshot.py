"""Few-shot text that stands in a file, before a sample's own text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from lightllm_evals.records import Sample

PromptMaker = Callable[[Sample], str]


@cache
def read_shots(path: Path) -> str:
    """Returns the whole text of a few-shot file."""
    # Bytes: text mode would turn a carriage return into a newline.
    return path.read_bytes().decode("utf-8")


def prefix_from(path: Path) -> PromptMaker:
    """Returns a function that gives every sample the same few-shot text."""

    def prefix(sample: Sample) -> str:
        del sample
        return read_shots(path)

    return prefix


def with_shots(path: Path, own: PromptMaker) -> PromptMaker:
    """Returns a function that makes prompts of few-shot text and a sample's own."""

    def prompt(sample: Sample) -> str:
        return read_shots(path) + own(sample)

    return prompt
