from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import lambada

DOOR = Sample(id="0", fields={"text": "She ran to the door"})

# Completion, what is read of it, and whether it is "door".
ANSWERS = [
    ("door", "door", True),
    (" door", "door", True),
    ("\n\ndoor", "door", True),
    ("door.", "door", True),
    ("door, and", "door", True),
    ("door and went", "door", True),
    ("door\nand went", "door", True),
    ("door's handle", "door", True),
    ("door-bell", "door", True),
    ("door—bell", "doorbell", False),
    ("doors", "doors", False),
    ("Door", "Door", False),
    ("the door", "", False),
    ("door the", "door", True),
    ('"door"', "", False),
    ("(door)", "", False),
    ("...door", "", False),
    ("do or", "do", False),
    ("door\tstep", "door step", False),
    ("door_step", "door", True),
    ("door\\step", "doorstep", False),
    ("door!", "door", True),
    ("door?", "door", True),
    ("dóor", "dóor", False),
    ("42", "42", False),
    ("a", "", False),
    ("An", "", False),
    ("", "", False),
    (" ", "", False),
    ("。door", "door", True),
    ("门", "门", False),
]


@pytest.mark.parametrize(("text", "word", "is_right"), ANSWERS)
def test_tricky_answers_are_read_as_the_reference_reads_them(
    text: str, word: str, is_right: bool
) -> None:
    assert lambada.first_word(DOOR, text) == word
    assert (word == lambada.last_word(DOOR)) == is_right


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) >= 30


@given(st.text(), st.text())
def test_extraction_never_raises(text: str, passage: str) -> None:
    lambada.first_word(DOOR, text)
    lambada.last_word(Sample(id="0", fields={"text": passage}))


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
    samples = datasets.lambada()

    def score(texts: list[str]) -> float:
        words = [lambada.first_word(s, text) for s, text in zip(samples, texts, strict=True)]
        targets = [lambada.last_word(s) for s in samples]
        return sum(a == b for a, b in zip(words, targets, strict=True)) / len(samples)

    assert score([" door.", "Ann\n"]) == 1
    assert score(["no idea"] * 2) == 0
    assert score(["door", "Anna"]) == 1 / 2


@pytest.mark.usefixtures("shared")
def test_almost_every_real_word_is_read_off_itself() -> None:
    samples = datasets.lambada()
    missed = [s for s in samples if lambada.first_word(s, f" {s['text'].split()[-1]}") == ""]
    # What begins with a quotation mark is lost, as in the reference.
    assert len(missed) <= 19
