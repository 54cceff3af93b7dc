"""Scored prompts read from answers of either generation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client.failures import TransientError
from lightllm_evals.client.prompt_logprobs import (
    ScoredPrompt,
    listed_tokens,
    parse_prompt_logprobs,
    scoring_parameters,
)
from lightllm_evals.errors import BadResponseError

FOLDER = Path(__file__).parents[2].parent / "shared" / "lightllm-recordings"

# A token that comes twice has two values.
IDS = [1, 7, 8, 7]
VALUES = [-0.5, -2.0, -0.25]


def newer(values: list[Any], ranks: list[Any] | None = None, ids: list[Any] = IDS) -> Any:
    found = ranks or [1] * len(values)
    items = [
        {str(i): {"logprob": value, "rank": rank, "decoded_token": "x"}}
        for i, value, rank in zip(ids[1:], values, found, strict=True)
    ]
    return {"prompt_token_ids": ids, "prompt_logprobs": [None, *items]}


def older(values: list[Any], ids: list[Any] = IDS) -> Any:
    items = [[a, {str(b): value}] for a, b, value in zip(ids, ids[1:], values, strict=False)]
    return {"prompt_token_ids": ids, "prompt_logprobs": items}


def test_the_newer_answer_is_read_by_position_with_ranks() -> None:
    assert parse_prompt_logprobs(newer(VALUES, [1, 30, 2]), IDS) == ScoredPrompt(
        token_ids=(1, 7, 8, 7),
        logprobs=(None, -0.5, -2.0, -0.25),
        ranks=(None, 1, 30, 2),
        has_ranks=True,
    )


def test_the_older_answer_is_read_by_position_without_ranks() -> None:
    assert parse_prompt_logprobs(older(VALUES), IDS) == ScoredPrompt(
        token_ids=(1, 7, 8, 7),
        logprobs=(None, -0.5, -2.0, -0.25),
        ranks=(None, None, None, None),
        has_ranks=False,
    )


@pytest.mark.parametrize("make", [newer, older])
def test_a_prompt_of_one_token_has_no_value(make: Any) -> None:
    scored = parse_prompt_logprobs(make([], ids=[1]), [1])
    assert (scored.token_ids, scored.logprobs) == ((1,), (None,))


@pytest.mark.parametrize("make", [newer, older])
@given(values=st.lists(st.floats(-1000, 0), min_size=1, max_size=20), data=st.data())
def test_a_sum_is_that_of_the_tokens_from_a_position_on(
    make: Any, values: list[float], data: st.DataObject
) -> None:
    ids = [1] * (len(values) + 1)
    start = data.draw(st.integers(1, len(values)))
    scored = parse_prompt_logprobs(make(values, ids=ids), ids)
    assert scored.sum_from(start) == pytest.approx(sum(values[start - 1 :]))


@pytest.mark.parametrize("make", [newer, older])
def test_a_first_token_has_no_value_to_sum(make: Any) -> None:
    with pytest.raises(BadResponseError, match="only behind a BOS token"):
        parse_prompt_logprobs(make(VALUES)).sum_from(0)


@pytest.mark.parametrize("make", [newer, older])
def test_other_ids_than_were_sent_are_refused(make: Any) -> None:
    with pytest.raises(BadResponseError, match="4 instead of 4, first different at 3"):
        parse_prompt_logprobs(make(VALUES), [1, 7, 8, 9])
    with pytest.raises(BadResponseError, match="4 instead of 3, first different at 3"):
        parse_prompt_logprobs(make(VALUES), [1, 7, 8])


def test_a_value_that_a_cache_hides_is_no_perfect_score() -> None:
    hidden = newer([0.0, 0.0, -0.25], [None, None, 1])
    with pytest.raises(BadResponseError, match=r"position 1, .*--disable_dynamic_prompt_cache"):
        parse_prompt_logprobs(hidden, IDS)
    # What is not read may be hidden; and our own server leaves ranks out.
    assert parse_prompt_logprobs(hidden, IDS, 3).sum_from(3) == -0.25
    unranked = newer(VALUES, [None, 1, None])
    assert parse_prompt_logprobs(unranked, IDS, 1, needs_rank=False).ranks == (None, None, 1, None)


@pytest.mark.parametrize("dialect", ["a", "b"])
def test_positions_that_were_not_asked_for_may_have_no_value(dialect: str) -> None:
    data = newer(VALUES) if dialect == "b" else older([None, -2.0, -0.25])
    if dialect == "b":
        data["prompt_logprobs"][1] = None
    assert parse_prompt_logprobs(data, IDS, 2).logprobs == (None, None, -2.0, -0.25)
    with pytest.raises(BadResponseError, match="position 1"):
        parse_prompt_logprobs(data, IDS, 1)


@pytest.mark.parametrize("make", [newer, older])
@pytest.mark.parametrize(
    "value", [None, "x", True, float("nan"), float("inf"), -float("inf"), 0.5, [], {}]
)
def test_what_is_no_log_probability_is_refused(make: Any, value: Any) -> None:
    with pytest.raises(BadResponseError, match="position 2"):
        parse_prompt_logprobs(make([-0.5, value, -0.25]), IDS)


def test_rounding_may_put_a_certain_token_above_log_one() -> None:
    assert parse_prompt_logprobs(older([1e-7, -2.0, -0.25])).sum_from(1) == pytest.approx(-2.25)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({}, "runs without them"),
        ({"prompt_token_ids": IDS}, "runs without them"),
        ({"prompt_token_ids": IDS, "prompt_logprobs": None}, "runs without them"),
        ({"prompt_token_ids": ["1"], "prompt_logprobs": [None]}, "no numbers"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": [None, None]}, "token 2 at position 1"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": [None, {"3": {}}]}, "token 2"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": [None, {"2": -1.0}]}, "token 2"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": [[1, {"3": -1.0}]]}, "token 2"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": [[2, {"2": -1.0}]]}, "token 2"),
        ({"prompt_token_ids": [1, 2], "prompt_logprobs": ["x"]}, "token 2"),
    ],
)
def test_an_answer_that_is_no_scored_prompt_is_refused(data: Any, match: str) -> None:
    with pytest.raises(BadResponseError, match=match):
        parse_prompt_logprobs(data)


def test_a_list_of_another_length_is_an_answer_that_is_not_whole() -> None:
    with pytest.raises(TransientError, match="1 log-probabilities for 4 tokens"):
        parse_prompt_logprobs({"prompt_token_ids": IDS, "prompt_logprobs": [None]})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["0", "1", "2", "logprob", "rank", "prompt_logprobs"]), inner
        )
    ),
    max_leaves=12,
)


@given(ids=st.lists(st.integers(0, 2), max_size=3), items=st.lists(JUNK, max_size=3))
def test_no_answer_makes_it_stumble(ids: list[int], items: list[Any]) -> None:
    try:
        scored = parse_prompt_logprobs({"prompt_token_ids": ids, "prompt_logprobs": items})
    except (BadResponseError, TransientError):
        return
    assert len(scored.token_ids) == len(scored.logprobs) == len(scored.ranks)


def test_generated_tokens_are_listed_in_one_of_two_places() -> None:
    tokens = [{"id": 1}]
    assert listed_tokens({"tokens": tokens}) == tokens
    assert listed_tokens({"details": {"tokens": tokens}}) == tokens
    assert listed_tokens({"tokens": ["x"]}) == listed_tokens({}) == []


def test_every_default_that_moves_between_models_is_sent() -> None:
    parameters = scoring_parameters(add_special_tokens=False)
    assert parameters["do_sample"] is False
    assert parameters["add_special_tokens"] is False
    assert parameters["max_new_tokens"] == parameters["repetition_penalty"] == 1
    assert parameters["presence_penalty"] == parameters["frequency_penalty"] == 0
    assert parameters["prompt_logprobs"] == 0
    assert parameters["disable_prompt_cache"] is True


def recording(file: str, name: str) -> Any:
    path = FOLDER / file
    if not path.is_file():
        pytest.skip(f"no recordings at {FOLDER}")
    for line in path.read_text("utf-8").splitlines():
        found = json.loads(line)
        if found["name"] == name and found["path"] == "/generate":
            return json.loads(found["response"])
    pytest.skip(f"{file} has no recording {name!r}")


def test_the_recorded_answer_of_the_newer_server_is_read() -> None:
    scored = parse_prompt_logprobs(recording("b-2026-08.jsonl", "prompt_logprobs param"))
    assert scored.token_ids == (1, 504, 3575, 282, 4649, 314)
    assert scored.ranks == (None, 191, 20273, 1, 6, 1)
    assert scored.sum_from(3) == pytest.approx(-6.829276)


def test_the_recorded_answer_of_an_older_server_without_the_mode_has_none() -> None:
    with pytest.raises(BadResponseError, match="runs without them"):
        parse_prompt_logprobs(recording("a-2025-07.jsonl", "prompt_logprobs param"))
