from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.reasoning import Reasoning, Thought, without_thinking

THINK = Reasoning()
PIECES = st.lists(st.sampled_from(["<think>", "</think>", "a", "42", "\n", " ", "<", "stop"]))


@pytest.mark.parametrize(
    ("text", "answer", "num_blocks"),
    [
        ("42", "42", 0),
        ("", "", 0),
        ("<think>6 * 7</think>\n\n42", "42", 1),
        ("<think>\n\n</think>\n\n  42\n", "  42\n", 1),
        ("so <think>x</think>4<think>y</think>\n2", "so 42", 2),
        ("<think>a <think> b</think>42", "42", 1),
        # The prompt opened it, so that only the end is in the completion.
        ("6 * 7 is\n</think>\n\n42", "42", 1),
        ("<think>a</think> no </think>42", "42", 2),
    ],
)
def test_thinking_is_removed_and_counted(text: str, answer: str, num_blocks: int) -> None:
    assert without_thinking(text, THINK) == Thought(text=answer, num_blocks=num_blocks)


@pytest.mark.parametrize(
    ("text", "answer", "num_blocks"),
    [
        ("<think>6 * 7 is", "", 1),
        ("<think>a</think>\nno: <think>b", "no: ", 2),
    ],
)
def test_unclosed_thinking_leaves_no_answer(text: str, answer: str, num_blocks: int) -> None:
    found = without_thinking(text, THINK)
    assert found == Thought(text=answer, num_blocks=num_blocks, is_unclosed=True)


def test_a_completion_that_begins_inside_has_an_answer_only_after_the_end() -> None:
    assert without_thinking("6 * 7", THINK, is_open=True).is_unclosed
    assert without_thinking("6 <think> 7", THINK, is_open=True).text == ""
    assert without_thinking("6</think>42", THINK, is_open=True) == Thought(text="42", num_blocks=1)


def test_stop_texts_count_in_the_answer_only() -> None:
    text = "<think>Question: again\n\n</think>42\n\nQuestion: 7"
    assert without_thinking(text, THINK, stops=["Question:", "\n\n"]).text == "42"


def test_other_marks_are_marks() -> None:
    marks = Reasoning(start="[THINK]", end="[/THINK]")
    assert without_thinking("[THINK]<think>[/THINK]42", marks).text == "42"


@given(PIECES, st.booleans())
def test_no_mark_is_left_in_any_answer(pieces: list[str], is_open: bool) -> None:
    found = without_thinking("".join(pieces), THINK, is_open=is_open)
    assert "</think>" not in found.text
    assert found.num_blocks <= "".join(pieces).count("think>") + is_open
    assert found.num_blocks >= is_open


@given(st.text())
def test_any_text_is_taken_and_one_without_marks_stays(text: str) -> None:
    assert without_thinking(text, Reasoning(start="<T>!", end="</T>!")).text == text
