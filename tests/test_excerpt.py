from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.excerpt import MOST_BYTES, cause, head, likelihood_lines, printable, tail
from lightllm_evals.records import Choice, Likelihood

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_escape_sequences_and_lone_surrogates_are_shown_and_not_sent() -> None:
    assert printable("a\x1b[31m\x00\ud800\r\nb\tc") == "a\\x1b[31m\\x00\\ud800\\r\nb\tc"


@given(ANY_TEXT)
def test_any_text_is_printable_and_has_utf8(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert all(char in "\n\t" or char.isprintable() or ord(char) > 0x9F for char in shown)


@given(ANY_TEXT)
def test_head_is_short_and_whole_where_it_can_be(text: str) -> None:
    shown = head(text * 100)
    if len(printable(text * 100).encode()) <= MOST_BYTES:
        assert shown == printable(text * 100)
    else:
        assert len(shown.encode()) <= MOST_BYTES + 100
        assert shown.endswith("bytes more: the whole is in results.jsonl]")


def test_head_cuts_no_character_in_two() -> None:
    assert head("あ" * 1000).startswith("あ" * (MOST_BYTES // 3) + "\n[952 bytes more")


def test_tail_is_the_end() -> None:
    assert tail("one two\x00", 4) == "two\\x00"


def test_a_scored_text_is_a_line_that_ends_as_the_text_does() -> None:
    texts = [Choice(context="c" * 300, continuation=" yes\n", text="yes\n")] * 2
    found = [Likelihood(logprob=-1.5, num_tokens=2), Likelihood(logprob=-20.25, num_tokens=3)]
    first, second = likelihood_lines(texts, found).splitlines()
    assert first.startswith("    -1.500 over 2 tokens: 'ccc")
    assert first.endswith("ccc yes\\n'")
    assert second.startswith("   -20.250 over 3 tokens: ")
    assert len(first) < 250


def test_errors_of_one_cause_differ_in_what_was_measured_only() -> None:
    first = "http://host:1030: /generate answered 503 (tried 5 times over 6.1 s)"
    second = "http://host:1030: /generate answered 503 (tried 5 times over 4.9 s)"
    other_server = "http://host:1031: /generate answered 503 (tried 5 times over 4.9 s)"
    other_status = "http://host:1030: /generate answered 500 (tried 5 times over 4.9 s)"
    assert cause(first) == cause(second)
    assert len({cause(text) for text in (first, other_server, other_status)}) == 3
