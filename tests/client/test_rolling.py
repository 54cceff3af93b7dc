"""Windows and pieces of long texts; the expected ones are lm-evaluation-harness 0.4.13's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client.rolling import Window, split_text, windows

BOS = 0


def cut(num_tokens: int, length: int) -> list[tuple[tuple[int, ...], int]]:
    found = windows(range(1, num_tokens + 1), BOS, length)
    return [(window.token_ids, window.start) for window in found]


@pytest.mark.parametrize(
    ("num_tokens", "length", "expected"),
    [
        # From get_rolling_token_windows(range(1, n + 1), 0, length, 1) and make_disjoint_window:
        # context and continuation one behind the other, and where the continuation begins.
        (0, 4, []),
        (1, 4, [((0, 1), 1)]),
        (3, 4, [((0, 1, 2, 3), 1)]),
        (4, 4, [((0, 1, 2, 3, 4), 1)]),
        (5, 4, [((0, 1, 2, 3, 4), 1), ((1, 2, 3, 4, 5), 4)]),
        (8, 4, [((0, 1, 2, 3, 4), 1), ((4, 5, 6, 7, 8), 1)]),
        (
            10,
            4,
            [((0, 1, 2, 3, 4), 1), ((4, 5, 6, 7, 8), 1), ((6, 7, 8, 9, 10), 3)],
        ),
        (3, 1, [((0, 1), 1), ((1, 2), 1), ((2, 3), 1)]),
    ],
)
def test_windows_are_the_references(
    num_tokens: int, length: int, expected: list[tuple[tuple[int, ...], int]]
) -> None:
    assert cut(num_tokens, length) == expected


@given(token_ids=st.lists(st.integers(0, 9), max_size=60), length=st.integers(1, 12))
def test_each_token_is_scored_once_behind_what_stands_before_it(
    token_ids: list[int], length: int
) -> None:
    everything = [BOS, *token_ids]
    scored: list[int] = []
    for window in windows(token_ids, BOS, length):
        assert isinstance(window, Window)
        assert 1 <= window.start < len(window.token_ids) <= length + 1
        scored += window.token_ids[window.start :]
        end = 1 + len(scored)
        assert list(window.token_ids) == everything[end - len(window.token_ids) : end]
    assert scored == token_ids


@pytest.mark.parametrize(
    ("text", "num_bytes", "pieces"),
    [
        ("", 4, [""]),
        ("a b c", 9, ["a b c"]),
        ("a b c", 3, ["a b", " c"]),
        ("a b\n\nc", 3, ["a b", "\n\nc"]),
        ("a  ", 2, ["a", "  "]),
        ("abcdef gh", 4, ["abcd", "ef", " gh"]),
        ("äöü ß", 6, ["äöü", " ß"]),
        ("🎉🎉", 4, ["🎉", "🎉"]),
        ("🎉", 1, ["🎉"]),
    ],
)
def test_pieces_end_before_white_space(text: str, num_bytes: int, pieces: list[str]) -> None:
    assert split_text(text, num_bytes) == pieces


@given(
    text=st.text(alphabet=st.sampled_from("ab \n\tä你🎉"), max_size=80),
    num_bytes=st.integers(1, 20),
)
def test_pieces_are_the_text_and_small(text: str, num_bytes: int) -> None:
    pieces = split_text(text, num_bytes)
    assert "".join(pieces) == text
    assert all(pieces) or not text
    assert all(len(piece.encode()) <= max(num_bytes, 4) for piece in pieces)
