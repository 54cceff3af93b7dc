from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import math500

pytest.importorskip("math_verify", reason="math_verify comes with the extra math")

SAMPLE = Sample(id="x", fields={"answer": "\\frac{1}{2}", "solution": "$\\boxed{\\frac{1}{2}}$"})

END = "Final Answer: The final answer is"
# Completion: Minerva's final answer, the boxed one.
ANSWERS = {
    f"{END} $\\frac{{1}}{{2}}$. I hope it is correct.": ("$\\frac{1}{2}$", ""),
    f"{END} 5. I hope it is correct.\n\nProblem:": ("5", ""),
    f"{END} 5. ": ("5", ""),
    f"{END} 5.": ("", ""),
    f"{END} 5": ("", ""),
    f"{END} $[2,5)$. I hope it is correct": ("$[2,5)$", ""),
    "The final answer is 5. I hope it is correct.": ("", ""),
    "So \\boxed{5}.": ("", "5"),
    "So $\\boxed{\\frac{1}{2}}$": ("", "\\frac{1}{2}"),
    "\\boxed{1} then \\boxed{2}": ("", "2"),
    "\\boxed{a{b}{c{d}}}": ("", "a{b}{c{d}}"),
    "\\boxed{5": ("", ""),
    "\\boxed{}": ("", ""),
    "\\boxed 5": ("", ""),
    "\\boxed{ 5 }": ("", "5"),
    "\\fbox{5}": ("", ""),
    "": ("", ""),
    "5": ("", ""),
}

NORMALIZED = {
    "$\\frac12$": "\\frac{1}{2}",
    "\\frac{1}{2}": "\\frac{1}{2}",
    "x = 5": "5",
    "5 dollars": "5",
    "\\$5": "5",
    "5\\text{ cm}": "5",
    "10{,}000": "10000",
    "100,000": "100000",
    "0,1": "0,1",
    "\\sqrt3": "\\sqrt{3}",
    "\\sqrt[3]8": "\\sqrt[3]{8}",
    "45^\\circ": "45",
    "\\left[0,5\\right)": "\\left[0,5\\right)",
    "\\text{east}": "east",
    "\\mbox{even}": "even",
    "2\\pi cm": "2\\pi",
    "a dog": "dog",
}


@pytest.mark.parametrize("text", ANSWERS)
def test_tricky_answers_are_found(text: str) -> None:
    found = (math500.final_answer(SAMPLE, text), math500.boxed_answer(SAMPLE, text))
    assert found == ANSWERS[text]


@pytest.mark.parametrize("answer", NORMALIZED)
def test_answers_are_normalized(answer: str) -> None:
    assert math500.normalized(answer) == NORMALIZED[answer]


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) + len(NORMALIZED) >= 30


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for ending in text, f"{END} {text}.", f"\\boxed{{{text}}}":
        math500.is_exact_match(SAMPLE, ending)


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    samples = datasets.math500()

    def score(texts: list[str]) -> tuple[float, float]:
        pairs = list(zip(samples, texts, strict=True))
        exact = sum(math500.is_exact_match(item, text) for item, text in pairs)
        verified = sum(math500.is_verified(item, text) for item, text in pairs)
        return exact / len(pairs), verified / len(pairs)

    assert score([item["solution"] for item in samples]) == (1, 1)
    assert score(["no idea"] * 4) == (0, 0)
    # A half is 0.5 for math-verify, and another text.
    assert score(["\\boxed{2}", "$0.5$", "\\boxed{(0,1)}", "\\boxed{[0,5]}"]) == (0.25, 0.5)


@pytest.mark.usefixtures("shared")
def test_real_solutions_have_their_own_answer() -> None:
    samples = datasets.math500()
    assert len(samples) == 500
    assert all(math500.is_exact_match(item, item["solution"]) for item in samples)
    assert all(math500.is_verified(item, item["solution"]) for item in samples[::25])
