from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.embedded.engine import Token
from lightllm_evals.embedded.stopping import StopRules, trimmed

EOS = 2


def run(rules: StopRules, pieces: Sequence[str], ids: Sequence[int]) -> tuple[str, str]:
    """Returns the text up to where the rules end it, and why."""
    text = ""
    for piece, token_id in zip(pieces, ids, strict=True):
        text += piece
        reason = rules.push(Token(id=token_id, text=piece, piece=piece))
        if reason:
            return text, reason
    return text, ""


PIECES = [" Pa", "ris", ".", "\n", "The"]
IDS = [10, 11, 12, 13, 14]


def test_ids_alone_do_not_stop_on_a_text_that_straddles_tokens() -> None:
    rules = StopRules(max_new_tokens=5, id_groups=[[99, 98]])
    assert run(rules, PIECES, IDS) == (" Paris.\nThe", "length")


def test_a_group_of_ids_stops_at_its_last_token_and_keeps_it() -> None:
    rules = StopRules(max_new_tokens=5, id_groups=[[12, 13]])
    assert run(rules, PIECES, IDS) == (" Paris.\n", "stop")


def test_a_text_that_straddles_tokens_stops_and_is_kept_with_its_token() -> None:
    rules = StopRules(max_new_tokens=5, texts=["s."])
    assert run(rules, PIECES, IDS) == (" Paris.", "stop")


def test_the_end_of_text_stops_only_after_the_minimum() -> None:
    pieces, ids = ["a", "", "b", ""], [5, EOS, 6, EOS]
    assert run(StopRules(max_new_tokens=9, eos_ids=[EOS]), pieces, ids) == ("a", "stop")
    late = StopRules(max_new_tokens=9, min_new_tokens=3, eos_ids=[EOS])
    assert run(late, pieces, ids) == ("ab", "stop")


def test_the_last_permitted_token_ends_by_length() -> None:
    assert run(StopRules(max_new_tokens=2), PIECES, IDS) == (" Paris", "length")


@given(st.lists(st.text("ab", max_size=3), min_size=1), st.text("ab", min_size=1, max_size=4))
def test_text_stops_exactly_when_the_output_first_has_it(pieces: list[str], stop: str) -> None:
    rules = StopRules(max_new_tokens=len(pieces) + 1, texts=[stop])
    text, reason = run(rules, pieces, range(len(pieces)))
    assert (reason == "stop") == (stop in "".join(pieces))
    assert (stop in text) == (reason == "stop")


def test_trimming_cuts_at_the_earliest_stop() -> None:
    assert trimmed("a b c", ["c", " b"]) == "a"
    assert trimmed("a b c", ["x", ""]) == "a b c"
