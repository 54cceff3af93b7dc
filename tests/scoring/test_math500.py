from __future__ import annotations

import pytest
from hypothesis import given, settings
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


# The solution's boxed answer, completion, and whether math-verify takes the two for equal.
VERIFIED = [
    ("\\frac{1}{2}", "0.5", True),
    ("\\frac{1}{2}", "\\boxed{\\frac12}", True),
    ("\\frac{1}{2}", "$\\frac{2}{4}$", True),
    ("\\frac{1}{2}", "\\boxed{1/2}", True),
    ("\\frac{1}{2}", "\\boxed{0.49}", False),
    ("\\frac{1}{2}", "50%", True),
    ("\\frac{1}{2}", "So $x = \\boxed{\\dfrac{1}{2}}$.", True),
    ("2", "The answer is 2.", True),
    ("2", "\\boxed{2.0}", True),
    ("2", "\\boxed{3}, no, \\boxed{2}", False),  # several boxes are one answer of all
    ("2", "\\boxed{2} or \\boxed{3}", False),
    ("2", "two", False),
    ("2", "", False),
    ("2", "\\boxed{x=2}", True),
    ("2", "$2$ apples", True),
    ("1200", "\\boxed{1,200}", True),
    ("1200", "\\boxed{1200\\text{ cm}}", True),
    ("1200", "\\boxed{1.2\\times 10^3}", True),
    ("90^\\circ", "\\boxed{90}", True),
    ("90^\\circ", "\\boxed{90^\\circ}", True),
    ("(0,0)", "\\boxed{(0, 0)}", True),
    ("(0,0)", "\\boxed{(0,1)}", False),
    ("(0,0)", "\\boxed{\\left(0,0\\right)}", True),
    ("[0,5)", "\\boxed{[0,5)}", True),
    ("[0,5)", "\\boxed{[0,5]}", False),
    ("[0,5)", "\\boxed{0 \\le x < 5}", False),  # an inequality is no interval to it
    ("\\sqrt{2}", "\\boxed{2^{1/2}}", True),
    ("\\sqrt{2}", "\\boxed{1.414}", False),
    ("\\sqrt{2}", "\\boxed{\\sqrt2}", True),
    ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}", True),
    ("\\{1,2\\}", "\\boxed{\\{2,1\\}}", True),
    ("\\{1,2\\}", "\\boxed{1,2}", True),
    ("x^2+2x+1", "\\boxed{(x+1)^2}", True),
    ("x^2+2x+1", "\\boxed{x^2+1}", False),
    ("\\pi", "\\boxed{3.14159}", False),
    ("\\pi", "\\boxed{\\pi}", True),
    ("\\text{east}", "\\boxed{\\text{east}}", True),
    ("\\text{east}", "\\boxed{\\text{west}}", False),
    ("\\text{(C)}", "\\boxed{C}", True),
    (
        "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
        "\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}",
        True,
    ),
    (
        "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
        "\\boxed{\\begin{pmatrix}2\\\\1\\end{pmatrix}}",
        False,
    ),
    ("2", "\\boxed{\\boxed{2}}", True),
    ("2", "\\boxed{2", False),  # a box that is not closed
    ("2", "\\frac{", False),
    ("-3", "\\boxed{-3}", True),
    ("-3", "\\boxed{3}", False),
    ("5", "\\boxed{\\$5}", True),
    ("11\\%", "\\boxed{11}", True),
]


@pytest.mark.parametrize(("answer", "text", "is_equal"), VERIFIED)
def test_math_verify_judges_tricky_answers(answer: str, text: str, is_equal: bool) -> None:
    sample = Sample(id="0", fields={"solution": f"It is $\\boxed{{{answer}}}$.", "answer": answer})
    assert math500.is_verified(sample, text) == is_equal


@settings(max_examples=60)
@given(st.text())
def test_verification_never_raises(text: str) -> None:
    for ending in text, f"${text}$", f"\\boxed{{{text}}}":
        math500.is_verified(SAMPLE, ending)


def test_there_are_thirty_tricky_answers() -> None:
    assert len(VERIFIED) >= 30
    assert len(ANSWERS) + len(NORMALIZED) >= 30


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for ending in text, f"{END} {text}.", f"\\boxed{{{text}}}":
        math500.is_exact_match(SAMPLE, ending)


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
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
