"""Few-shot examples as lm-evaluation-harness draws them.

Source: ``ContextSampler`` in https://github.com/EleutherAI/lm-evaluation-harness,
``lm_eval/api/samplers.py``: one generator a task, one draw without replacement a test item, in
the order of the items. So an item's shots depend on how many items come before it, and are
drawn for all items whatever part of them is run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SEED = 1234


def seeded_shots(pool: Sequence[T], num_items: int, num_shots: int) -> list[tuple[T, ...]]:
    """Returns the shots of every item, shape [num_items][num_shots].

    Raises:
        ValueError: The pool has fewer than ``num_shots`` examples.
    """
    generator = random.Random(SEED)  # noqa: S311  # reproduces a draw, protects nothing
    indices = range(len(pool))
    return [
        tuple(pool[index] for index in generator.sample(indices, num_shots))
        for _ in range(num_items)
    ]
