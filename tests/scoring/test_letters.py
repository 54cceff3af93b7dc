from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import letters

NONE = Sample(id="0", fields={})

# Completion, and what is read: MMLU's, CMMLU's, C-Eval's.
ANSWERS = [
    ("ANSWER: B", "B", "", "A"),
    ("Answer: B", "B", "", "A"),
    ("answer: b", "b", "", ""),
    ("ANSWER:C", "C", "", "A"),
    ("ANSWER :  D.", "D", "", "A"),
    ("ANSWER:\nA", "A", "", "A"),
    ("ANSWER: $B", "", "", "A"),
    ("ANSWER: (B)", "", "", "A"),
    ("**ANSWER: B**", "B", "", "A"),
    ("ANSWER: **B**", "", "", "A"),
    ("ANSWER: E", "", "", "A"),
    ("Answer: Both are right.\nANSWER: A", "B", "", "A"),
    ("ANSWER: A\nNo, wait.\nANSWER: C", "A", "", "A"),
    ("The answer is B", "", "", "T"),
    ("it is b", "", "", ""),
    ("B", "", "", "B"),
    ("B. Paris", "", "", "B"),
    ("I think B", "", "", "I"),
    ("答案: C", "", "C", "C"),
    ("答案:C", "", "C", "C"),
    ("答案: (C)", "", "C", "C"),
    ("答案: **C**", "", "C", "C"),
    ("答案： C", "", "", "C"),
    ("答案: $C", "", "C", "C"),
    ("答案: c", "", "c", ""),
    ("答案: 选项C", "", "", "C"),
    ("答案是C", "", "", "C"),
    ("因为A不对, 答案: D", "", "D", "A"),
    ("答案: A。不对, 答案: B", "", "A", "A"),
    ("Б", "", "", "Б"),
    ("ＡＢ", "", "", "Ａ"),
    ("不知道", "", "", ""),
    ("", "", "", ""),
]


@pytest.mark.parametrize(("text", "english", "chinese", "capital"), ANSWERS)
def test_tricky_answers_are_read_as_the_reference_reads_them(
    text: str, english: str, chinese: str, capital: str
) -> None:
    assert letters.english_letter(NONE, text) == english
    assert letters.chinese_letter(NONE, text) == chinese
    assert letters.first_capital(NONE, text) == capital


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) >= 30


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for read in letters.english_letter, letters.chinese_letter, letters.first_capital:
        for begin in "", "ANSWER: ", "答案: ":
            read(NONE, begin + text)


Read = Callable[[Sample, str], str]

READINGS: list[tuple[Callable[[], list[Sample]], Read, str]] = [
    (datasets.mmlu, letters.english_letter, "15 is odd.\nANSWER: {}"),
    (datasets.cmmlu, letters.chinese_letter, "一步步思考。\n答案: {}"),
    (datasets.ceval, letters.first_capital, "{}"),
]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("source", "read", "form"), READINGS)
def test_perfect_garbage_and_mixed_answers_have_known_scores(
    source: Callable[[], list[Sample]], read: Read, form: str
) -> None:
    samples = source()
    right = [letter if isinstance(letter := s["answer"], str) else "ABCD"[letter] for s in samples]

    def score(texts: list[str]) -> float:
        found = [read(s, text) for s, text in zip(samples, texts, strict=True)]
        return sum(a == b for a, b in zip(found, right, strict=True)) / len(samples)

    perfect = [form.format(letter) for letter in right]
    assert score(perfect) == 1
    assert score(["no idea"] * 3) == 0
    assert score([perfect[0], form.format("D"), ""]) == 1 / 3
