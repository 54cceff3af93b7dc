"""MBPP's prompts: the paper's three shots, and OpenCompass's on the sanitized set.

Reference form: Jacob Austin et al., "Program Synthesis with Large Language Models", 2021,
https://arxiv.org/abs/2108.07732, as lm-evaluation-harness 0.4.13 renders it (task ``mbpp``).
OpenCompass: ``sanitized_mbpp_gen_742f0c``, https://github.com/open-compass/opencompass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightllm_evals.records import Message, Sample

STOPS = ("[DONE]",)


def _problem(text: str, tests: Iterable[str], gap: str) -> str:
    listed = "\n".join(tests)
    return (
        f"You are an expert Python programmer, and here is your task: {text} "
        f"Your code should pass these tests:\n\n{listed}\n{gap}"
    )


def reference_prefix(sample: Sample) -> str:
    """Returns the shots 2, 3 and 4; their code keeps the data set's carriage returns."""
    return "".join(
        f"{_reference_problem(shot)}{shot['code']}\n[DONE]\n\n" for shot in sample["shots"]
    )


def _reference_problem(row: Mapping[str, Any]) -> str:
    return _problem(row["text"], row["test_list"][:3], "[BEGIN]\n")


def reference_prompt(sample: Sample) -> str:
    """Returns the three shots and the problem, open after ``[BEGIN]``."""
    return reference_prefix(sample) + _reference_problem(sample.fields)


def instruct_turns(sample: Sample) -> tuple[Message, ...]:
    """Returns the problem and its tests as one user turn, without shots."""
    tests = "\n".join(sample["test_list"])
    text = (
        "You are an expert Python programmer, and here is your task:\n"
        f"{sample['text']}\nYour code should pass these tests:\n{tests}"
    )
    return (Message(role="user", content=text),)


# OpenCompass's own wording and layout of the shots, which differ from the data set's.
_OPENCOMPASS_SHOTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Write a function to find the similar elements from the given two tuple lists.",
        (
            "assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)",
            "assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)",
            "assert similar_elements((11, 12, 14, 13),(17, 15, 14, 13)) == (13, 14)",
        ),
        "def similar_elements(test_tup1, test_tup2):\n"
        "    res = tuple(set(test_tup1) & set(test_tup2))\n"
        "    return (res)",
    ),
    (
        "Write a python function to identify non-prime numbers.",
        (
            "assert is_not_prime(2) == False",
            "assert is_not_prime(10) == True",
            "assert is_not_prime(35) == True",
        ),
        "import math\n"
        "def is_not_prime(n):\n"
        "    result = False\n"
        "    for i in range(2,int(math.sqrt(n)) + 1):\n"
        "        if n % i == 0:\n"
        "            result = True\n"
        "    return result",
    ),
    (
        "Write a function to find the largest integers from a given list of numbers using heap "
        "queue algorithm.",
        (
            "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],3)==[85, 75, 65]",
            "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],2)==[85, 75]",
            "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],5)"
            "==[85, 75, 65, 58, 35]",
        ),
        "import heapq as hq\n"
        "def heap_queue_largest(nums,n):\n"
        "    largest_nums = hq.nlargest(n, nums)\n"
        "    return largest_nums",
    ),
)


def opencompass_prefix(sample: Sample) -> str:
    """Returns OpenCompass's three shots, the same before every problem."""
    del sample
    return "".join(
        f"{_problem(text, tests, '')}\n[BEGIN]\n '{code}'\n[DONE]\n\n\n"
        for text, tests, code in _OPENCOMPASS_SHOTS
    )


def opencompass_prompt(sample: Sample) -> str:
    """Returns OpenCompass's shots and the problem, which ends after its tests.

    A plain string template is followed by no ``[BEGIN]``: the model has to open the answer.
    """
    own = _problem(sample["prompt"], sample["test_list"], "").rstrip()
    return opencompass_prefix(sample) + own
