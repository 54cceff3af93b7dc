from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client.answers import Answer, cut, parse, whole_characters
from lightllm_evals.client.failures import TransientError
from lightllm_evals.errors import BadResponseError, RequestRejectedError


def answer(text: str, finish_reason: str = "length") -> Answer:
    return Answer(text=text, finish_reason=finish_reason, prompt_tokens=1, output_tokens=9)


# Few letters, so that stops do occur, overlap and begin within one another.
texts = st.text("ab\n ", max_size=30)
stop_lists = st.lists(st.text("ab\n ", max_size=3), max_size=12)


@given(texts, stop_lists)
def test_a_cut_text_is_the_longest_start_without_a_stop_text(text: str, stops: list[str]) -> None:
    found = cut(answer(text), stops).text
    assert text.startswith(found)
    real = [stop for stop in stops if stop]
    assert not any(stop in found for stop in real)
    # One character less would have been too little: a stop text begins right there.
    assert found == text or any(text.startswith(stop, len(found)) for stop in real)


@given(texts, stop_lists)
def test_length_becomes_stop_exactly_when_a_stop_text_was_found(
    text: str, stops: list[str]
) -> None:
    is_found = any(stop and stop in text for stop in stops)
    assert cut(answer(text), stops).finish_reason == ("stop" if is_found else "length")


@given(texts)
def test_nothing_is_stripped_without_a_stop_text(text: str) -> None:
    assert cut(answer(text), ()) == answer(text)
    assert cut(answer(text), ("", "x")) == answer(text)


def test_more_stops_than_a_server_takes_all_cut() -> None:
    stops = [f"<{number}>" for number in range(30)]
    assert cut(answer("a<29>b<3>"), stops).text == "a"


def test_another_finish_reason_than_length_stays() -> None:
    assert cut(answer("a.b", "tool_calls"), (".",)).finish_reason == "tool_calls"


@pytest.mark.parametrize("wrapped", [False, True])
def test_tgi_mode_is_read_with_its_details(wrapped: bool) -> None:
    tgi = {
        "generated_text": " Paris.",
        "details": {
            "generated_tokens": 2,
            "finish_reason": "length",
            "tokens": [{"id": 7042, "prompt_tokens": 6}],
        },
    }
    found = parse(json.dumps([tgi] if wrapped else tgi).encode(), "application/json")
    assert found == Answer(
        text=" Paris.", finish_reason="length", prompt_tokens=6, output_tokens=2
    )


def test_tgi_mode_without_details_still_has_its_text() -> None:
    found = parse(b'[{"generated_text":"x"}]', "")
    assert (found.text, found.finish_reason, found.prompt_tokens) == ("x", "unknown", None)


def test_an_error_object_with_status_200_is_a_refusal() -> None:
    with pytest.raises(RequestRejectedError, match="no such thing"):
        parse(b'{"error":{"message":"no such thing","code":400}}', "")


def test_a_tool_call_without_content_is_an_empty_text() -> None:
    body = {
        "choices": [
            {"message": {"content": None, "tool_calls": [{}]}, "finish_reason": "tool_calls"}
        ]
    }
    found = parse(json.dumps(body).encode(), "")
    assert (found.text, found.finish_reason) == ("", "tool_calls")


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_can_be_written_and_sound_ones_are_left_alone(text: str) -> None:
    found = whole_characters(text)
    found.encode("utf-8")
    assert found == text or any("\ud800" <= character <= "\udfff" for character in text)


def test_halves_of_a_character_are_joined_and_one_alone_is_replaced() -> None:
    assert whole_characters("a\ud83d\ude00") == "a\U0001f600"
    assert whole_characters("\ude00b") == "\ufffdb"
    assert parse(b'{"generated_text":["x\\ud800"],"finish_reason":"stop"}', "").text == "x\ufffd"


@given(st.binary(max_size=200))
def test_no_body_gets_out_as_another_error(body: bytes) -> None:
    try:
        parse(body, "")
    except (TransientError, RequestRejectedError, BadResponseError):
        return
    assert b"generated_text" in body or b"choices" in body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "generated_text",
                    "finish_reason",
                    "count_output_tokens",
                    "details",
                    "tokens",
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "error",
                    "code",
                    "text",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_gets_out_as_another_error(value: object) -> None:
    try:
        found = parse(json.dumps(value).encode(), "")
    except (TransientError, RequestRejectedError):
        return
    assert isinstance(found.text, str)
    assert isinstance(found.output_tokens, int)
