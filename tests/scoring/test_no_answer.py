"""Completions in which nothing could be an answer: their own outcome beside right and wrong."""

from __future__ import annotations

import pytest

from lightllm_evals.records import Sample
from lightllm_evals.scoring import evalplus, fences, humaneval, math500, mbpp

PROSE = [
    "",
    " ",
    "I do not know.",
    "You have to define the function.\nThen return it.",
    "`x`",
    "Yes",
    "f(x)",
    " I do not know.",
]
CODE = [
    "```python\nx = 1\n```",
    "```\nx",
    "def f(x):\n    return x",
    "Sure:\n\nasync def f(x): ...",
    "    return x + 1",
    "class A:\n    def f(self): ...",
    "f = lambda x: x",
    "from operator import pos as f",
    "    yield x",
    "    x.append(1)\n    print(x)",
]
SAMPLE = Sample(
    id="0",
    fields={"entry_point": "f", "prompt": "def f(x):\n", "test_list": [], "code": ""},
)
READINGS = [humaneval.instruct_program, mbpp.instruct_program, evalplus.instruct_program]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_program(text: str) -> None:
    assert not fences.has_code(text)
    assert [read(SAMPLE, text) for read in READINGS] == ["", "", ""]


@pytest.mark.parametrize("text", CODE)
def test_a_block_or_a_function_is_one(text: str) -> None:
    assert fences.has_code(text)
    assert all(read(SAMPLE, text).strip() for read in READINGS)


@pytest.mark.parametrize("text", ["", " ", "I do not know", "no idea."])
def test_prose_is_no_maths(text: str) -> None:
    pytest.importorskip("math_verify")
    assert math500.readable_answer(text) == ""


@pytest.mark.parametrize("text", ["7", "$x+1$", "\\boxed{x}", "The answer is 1/2."])
def test_a_number_or_a_formula_is_some(text: str) -> None:
    pytest.importorskip("math_verify")
    assert math500.readable_answer(text) == text


@pytest.mark.parametrize(
    ("detail", "delay_s", "extra_s", "more_s"),
    [
        ("f([1]) returned 2, not 3", 9.0, 0.0, 0.0),
        ("no output within 4.0 s for [1]", 0.2, 0.0, 0.0),
        ("no output within 4.0 s for [1]", 2.0, 0.0, 4.0),
        ("no output within 8.0 s for [1]", 4.2, 4.0, 0.0),
        ("no output within 8.0 s for [1]", 7.0, 4.0, 14.0),
        ("no output within 18.0 s for [1]", 30.0, 14.0, 0.0),
    ],
)
def test_an_input_has_more_time_where_its_program_waited_for_a_cpu(
    detail: str, delay_s: float, extra_s: float, more_s: float
) -> None:
    assert evalplus.more_time(f"AssertionError: {detail}", delay_s, extra_s) == more_s


def test_maths_that_takes_too_long_is_unequal() -> None:
    pytest.importorskip("math_verify")
    sample = Sample(id="0", fields={"solution": "\\boxed{7}", "answer": "7"})
    assert not math500.is_verified(sample, "\\boxed{9^{9^{9^9}}}")
    assert math500.is_verified(sample, "\\boxed{7}")
