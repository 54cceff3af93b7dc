from __future__ import annotations

import pytest

from lightllm_evals.benchmark import FewshotForm
from lightllm_evals.prompts.turns import with_shots, with_system
from lightllm_evals.records import Message


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


SYSTEM = Message(role="system", content="Be brief.")
SHOTS = [user("Q: 1\nA:"), assistant("one"), user("Q: 2\nA:\n"), assistant("two")]
AS_TEXT = user("Q: 1\nA: one\n\nQ: 2\nA:\ntwo\n\nQ: 3\nA:")


@pytest.mark.parametrize("fewshot", ["text", None])
def test_shots_become_part_of_the_users_turn(fewshot: FewshotForm | None) -> None:
    assert with_shots([user("Q: 3\nA:")], SHOTS, fewshot) == (AS_TEXT,)


def test_shots_are_turns_where_the_profile_wants_turns() -> None:
    assert with_shots([user("Q: 3\nA:")], SHOTS, "turns") == (*SHOTS, user("Q: 3\nA:"))


def test_turns_without_shots_are_joined_only_when_told() -> None:
    turns = (SYSTEM, *SHOTS, user("Q: 3\nA:"))
    assert with_shots(turns, (), None) == turns
    assert with_shots(turns, (), "text") == (SYSTEM, AS_TEXT)


def test_a_system_prompt_comes_first_and_never_beside_another() -> None:
    assert with_system([user("x")], "Be brief.") == (SYSTEM, user("x"))
    assert with_system([user("x")], "") == (user("x"),)
    assert with_system([SYSTEM, user("x")], "Be long.") == (SYSTEM, user("x"))
