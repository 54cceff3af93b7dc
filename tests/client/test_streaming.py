from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client import Client
from lightllm_evals.client.failures import TransientError
from lightllm_evals.client.streaming import EventParser, StreamReader
from lightllm_evals.errors import BadResponseError, RequestRejectedError

SOON_S = 30

payloads = st.lists(st.text(max_size=20).map(lambda text: json.dumps(text, ensure_ascii=False)))


def chunked(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(
    payloads,
    st.lists(st.integers(0, 10_000), max_size=30),
    st.sampled_from(["data:", "data: "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_events_come_out_whole_however_the_bytes_are_cut(
    sent: list[str], places: list[int], field: str, end: str, has_last_blank: bool
) -> None:
    text = "".join(f": comment{end}{field}{payload}{end}{end}" for payload in sent)
    if not has_last_blank:
        text = text.removesuffix(end)
    parser = EventParser()
    events = [event for chunk in chunked(text.encode(), places) for event in parser.feed(chunk)]
    events += parser.close()
    assert [event.decode() for event in events] == sent


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    parser = EventParser()
    assert parser.feed(b"data:1\n") == []
    assert parser.feed(b"\ndata:2\n\nda") == [b"1", b"2"]


def test_lines_of_one_event_are_joined() -> None:
    assert EventParser().feed(b"event: x\ndata: a\nid: 7\ndata: b\n\n") == [b"a\nb"]


def native(text: str, number: int, finish_reason: str | None = None) -> bytes:
    event = {
        "token": {"text": text, "count_output_tokens": number, "prompt_tokens": 6},
        "finished": finish_reason is not None,
        "finish_reason": finish_reason,
    }
    return b"data:" + json.dumps(event).encode() + b"\n\n"


STREAM = [native(" Pa", 1), native("", 2), native("ris", 3), native(".", 4, "stop")]


def test_ttft_and_tpot_are_those_of_the_tokens() -> None:
    now = [100.0]
    reader = StreamReader(lambda: now[0])
    for event in STREAM:
        now[0] += 2.0
        reader.feed(event)
    assert reader.answer().text == " Paris."
    assert reader.ttft_s(100.0) == 2.0
    assert reader.tpot_s(reader.answer().output_tokens) == 2.0
    assert reader.tpot_s(1) is None


def test_the_opening_chunk_of_a_chat_is_no_token() -> None:
    now = [0.0]
    reader = StreamReader(lambda: now[0])
    reader.feed(b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n')
    assert reader.ttft_s(0.0) is None
    now[0] = 5.0
    reader.feed(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n')
    reader.feed(b"data: [DONE]\n\n")
    assert reader.ttft_s(0.0) == 5.0
    assert reader.answer().output_tokens == 1


def test_a_character_over_two_tokens_is_whole() -> None:
    reader = StreamReader(lambda: 0.0)
    for event in (native("\ud83d", 1), native("\ude00", 2, "stop")):
        reader.feed(event)
    assert reader.answer().text == "\U0001f600"


def test_only_the_first_of_several_choices_counts() -> None:
    reader = StreamReader(lambda: 0.0)
    for index, text in ((0, "a"), (1, "x"), (0, "b")):
        choice = {"index": index, "text": text, "finish_reason": "stop" if text == "b" else None}
        reader.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    assert reader.answer().text == "ab"


@pytest.mark.parametrize("num_events", range(len(STREAM)))
def test_a_stream_without_a_finished_event_is_a_failure(num_events: int) -> None:
    reader = StreamReader(lambda: 0.0)
    for event in STREAM[:num_events]:
        reader.feed(event)
    with pytest.raises(TransientError, match=f"after {num_events} events"):
        reader.answer()


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_a_generation_that_failed_is_no_answer(reason: str) -> None:
    reader = StreamReader(lambda: 0.0)
    reader.feed(native("x", 1, reason))
    with pytest.raises(TransientError, match=reason):
        reader.answer()


def test_an_error_event_of_a_failed_server_is_transient() -> None:
    with pytest.raises(TransientError, match="out of memory"):
        StreamReader(lambda: 0.0).feed(
            b'data: {"error":{"message":"out of memory","code":500}}\n\n'
        )


@pytest.mark.parametrize("event", [b"data: 7\n\n", b"data: {\n\n", b'data: {"token":1}\n\n'])
def test_an_event_that_is_not_lightllms_is_a_failure(event: bytes) -> None:
    with pytest.raises(TransientError):
        StreamReader(lambda: 0.0).feed(event)


Serve = Callable[..., Any]
Connect = Callable[..., Client]
Ask = Callable[..., Any]


def test_a_stream_cut_in_the_middle_is_tried_again_as_a_stream(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    def answer(exchange: Any) -> None:
        if len(server.requests) == 1:
            exchange.stream(STREAM[:2], is_complete=False)
        else:
            exchange.stream(STREAM)

    server = serve(answer)
    completion = connect(server.url, stream=True).complete(ask())
    assert (completion.text, completion.attempts) == (" Paris.", 2)
    assert completion.ttft_s is not None
    assert [request.path for request in server.requests] == ["/generate_stream"] * 2


def test_a_stream_that_is_always_cut_ends_as_a_bad_response(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.stream(STREAM[:3], is_complete=False))
    with pytest.raises(BadResponseError, match="tried 3 times"):
        connect(server.url, stream=True, retries=2).complete(ask())


def test_an_answer_is_kept_when_the_connection_breaks_after_its_end(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.stream(STREAM, is_complete=False))
    completion = connect(server.url, stream=True, retries=0).complete(ask())
    assert (completion.text, completion.finish_reason) == (" Paris.", "stop")


def test_an_error_event_refuses_the_request(serve: Serve, connect: Connect, ask: Ask) -> None:
    event = b'data: {"error":{"message":"prompt_ids is empty","type":"invalid_request_error"}}\n\n'
    server = serve(lambda exchange: exchange.stream([event]))
    with pytest.raises(RequestRejectedError, match="prompt_ids is empty"):
        connect(server.url, stream=True).complete(ask())
    assert len(server.requests) == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_a_server_that_does_not_stream_is_read_all_the_same(
    headers: dict[str, str], serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.reply(headers=headers))
    completion = connect(server.url, stream=True).complete(ask())
    assert (completion.text, completion.ttft_s) == (" Paris.\n", None)


def test_a_stream_without_a_content_type_is_read_all_the_same(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.reply(b"".join(STREAM)))
    assert connect(server.url, stream=True).complete(ask()).text == " Paris."


def test_tokens_are_timed_as_they_come(serve: Serve, connect: Connect, ask: Ask) -> None:
    ticks: list[float] = []

    def answer(exchange: Any) -> None:
        exchange.stream(STREAM)

    def clock() -> float:
        ticks.append(len(ticks) * 1.0)
        return ticks[-1]

    server = serve(answer)
    completion = connect(server.url, stream=True, clock=clock).complete(ask())
    # One look at the clock a token, each a second after the last.
    assert completion.tpot_s == 1.0
    assert completion.ttft_s == 1.0
    assert completion.latency_s == 5.0
