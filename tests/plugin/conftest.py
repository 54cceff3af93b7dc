"""A small benchmark in a project of its own, and a server that knows its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# pytester forgets what a run in its own process imported, and numpy cannot be loaded twice.
import numpy as np  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

TOY = '''
from lightllm_evals import Sample, benchmark

def sums():
    for i in range(NUM):
        yield Sample(id=f"toy/{i}", fields={"q": f"{i} plus {i} is", "a": str(2 * i)})

@benchmark("toy", samples=sums, prompt=lambda s: s["q"], max_new_tokens=8, kinds=["math"])
def test_toy(sample, answer):
    """Small sums."""
    assert answer.strip() == sample["a"], f"{answer!r} is not {sample['a']}"
'''

INI = """
[pytest]
addopts = -p no:cacheprovider
filterwarnings = error
"""


@pytest.fixture
def toy(pytester: pytest.Pytester) -> Callable[[int], None]:
    """Writes the toy benchmark with so many samples into pytester's folder."""

    def write(num_samples: int) -> None:
        pytester.makeini(INI)
        pytester.makepyfile(test_toy=TOY.replace("NUM", str(num_samples)))

    return write


@pytest.fixture
def answers() -> Callable[[int, int], dict[str, str]]:
    """Completions for the toy benchmark: every ``wrong_every``-th one is wrong."""

    def make(num_samples: int, wrong_every: int) -> dict[str, str]:
        return {
            f"{i} plus {i} is": "no idea" if i % wrong_every == 0 else f" {2 * i}"
            for i in range(num_samples)
        }

    return make


@pytest.fixture
def results(pytester: pytest.Pytester) -> Callable[[], list[dict[str, Any]]]:
    """Reads ``results.jsonl`` of the only run in pytester's folder."""
    import json

    def read() -> list[dict[str, Any]]:
        (path,) = pytester.path.glob(".lightllm-evals/runs/*/results.jsonl")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    return read
