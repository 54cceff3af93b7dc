from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import gsm8k

SAMPLE = Sample(id="0", fields={"answer": "6*200 = <<6*200=1200>>1200\n#### 1,200"})

# Completion: strict, flexible and OpenCompass's reading.
ANSWERS = {
    "It is 1200.\n#### 1200": ("1200", "1200", "1200"),
    "#### 1,200": ("1,200", "1,200", "200"),
    "#### 1200.": ("1200.", "1200.", "1200"),
    "#### $1200": ("", "$1200", "1200"),
    "####1200": ("", "1200", "1200"),
    "####  1200": ("", "1200", "1200"),
    "#### -5": ("-5", "-5", "-5"),
    "#### 5\n#### 6": ("5", "6", "6"),
    "### 7": ("", "7", "7"),
    "The answer is 8": ("", "8", "8"),
    "The answer is $8.": ("", "$8.", "8"),
    "The answer is \\boxed{5}$.": ("", "$.", "5"),
    "**Answer: 12**": ("", "12", "12"),
    "12.00": ("", "12.00", "12"),
    "#### 12.50": ("12.50", "12.50", "12.50"),
    "12...": ("", "12...", "12"),
    "3 + 4 = 7 dollars, so 7.": ("", "7.", "7"),
    "Half is 0.5": ("", "0.5", "0.5"),
    "Half is .5": ("", ".5", "5"),
    "10% of 50 is 5%": ("", "5", "5"),
    "It was 5pm, not 17:30": ("", "30", "30"),
    "#### 1 200": ("1", "200", "200"),
    "#### twelve": ("", "", ""),
    "I do not know": ("", "", ""),
    "": ("", "", ""),
    "…": ("", "", ""),
    "The answer is 05": ("", "05", "5"),
    "The answer is -0": ("", "-0", "0"),
    "The answer is -007": ("", "-007", "-7"),
    "#### ": ("", "", ""),
    "#### ,": (",", "", ""),
    "#### 9\n\nQuestion: 10 boxes?": ("9", "10", "9"),
    "x = -3": ("", "-3", "-3"),
    "5-3=2": ("", "2", "2"),
    "٣ items": ("", "", "٣"),
}


@pytest.mark.parametrize("text", ANSWERS)
def test_tricky_answers_are_read_as_the_references_read_them(text: str) -> None:
    readings = (
        gsm8k.strict_answer(SAMPLE, text),
        gsm8k.flexible_answer(SAMPLE, text),
        gsm8k.opencompass_answer(SAMPLE, text),
    )
    assert readings == ANSWERS[text]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("5 + 4 = 9. The answer is 9.", "9"),
        ("The answer is 1,200.\n\nQ: What? The answer is 7.", "1,200"),
        ("The answer is 1200. It is.", "1200."),
        ("The answer is -3 degrees.", "-3"),
        ("The answer is 12", "1"),
        ("The answer is 7", ""),
        ("The answer is $7.", ""),
        ("the answer is 7.", ""),
        ("The answer is seven.", ""),
        ("#### 7", ""),
    ],
)
def test_chains_of_thought_are_read_after_the_answer_is(text: str, answer: str) -> None:
    assert gsm8k.cot_answer(SAMPLE, text) == answer


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) >= 30


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("1200", True),
        ("1,200", True),
        ("$1,200", True),
        ("1200.", True),
        ("1200.0", False),
        ("1200..", False),
        ("200", False),
        ("", False),
    ],
)
def test_an_answer_is_compared_without_commas_dollars_and_a_last_dot(
    answer: str, is_right: bool
) -> None:
    assert gsm8k.is_exact_match(SAMPLE, answer) is is_right


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for read in (
        gsm8k.strict_answer,
        gsm8k.flexible_answer,
        gsm8k.opencompass_answer,
        gsm8k.cot_answer,
    ):
        gsm8k.is_exact_match(SAMPLE, read(SAMPLE, text))


def score(samples: list[Sample], texts: list[str]) -> float:
    answers = [gsm8k.strict_answer(s, t) for s, t in zip(samples, texts, strict=True)]
    return sum(map(gsm8k.is_exact_match, samples, answers)) / len(samples)


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
    samples = datasets.gsm8k()
    assert score(samples, [sample["answer"] for sample in samples]) == 1
    assert score(samples, ["no idea"] * 4) == 0
    assert score(samples, ["#### 84", "#### 1250", "#### 5", "six"]) == 0.5


@pytest.mark.usefixtures("shared")
def test_the_real_targets_are_read_from_their_own_rationales() -> None:
    samples = datasets.gsm8k()
    assert len(samples) == 1319
    assert score(samples, [sample["answer"] for sample in samples]) == 1
    # All but those whose rationale ends in another number than the target.
    flexible = [gsm8k.flexible_answer(s, s["answer"]) for s in samples]
    assert all(map(gsm8k.is_exact_match, samples, flexible))


@pytest.mark.usefixtures("shared")
def test_shots_do_not_depend_on_how_many_samples_are_run() -> None:
    samples = datasets.gsm8k()
    assert all(len({shot["question"] for shot in sample["shots"]}) == 5 for sample in samples)
    assert samples[0]["shots"] != samples[1]["shots"]
    assert datasets.gsm8k()[700]["shots"] == samples[700]["shots"]
