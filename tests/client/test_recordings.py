"""Answers of LightLLM's own front end, replayed: the right completion or the right error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.client import Client
from lightllm_evals.errors import (
    BadResponseError,
    PromptTooLongError,
    RequestRejectedError,
    RequestTimeoutError,
)
from lightllm_evals.records import Message

FOLDER = Path(__file__).parents[2].parent / "shared" / "lightllm-recordings"
FILES = {"a": "a-2025-07.jsonl", "b": "b-2026-08.jsonl"}
GENERATING = ("/generate", "/generate_stream", "/", "/v1/completions", "/v1/chat/completions")

# What the client makes of an answer where its text is not simply what the server sent: the
# stop text is cut, and a completion that the server ran past its stop did stop there.
CUT = {
    "stop_sequences hit single token": (" Paris", "stop"),
    "stop_sequences as str": (" Paris.\n\nThe capital of the United ", "stop"),
    "stop straddling tokens ('ris.\\n')": (" Pa", "stop"),
    "completions stop": (" Paris.", "stop"),
    "completions stop straddle": (" Pa", "stop"),
    "chat stop": ("Hello there", "stop"),
}

# What a stream adds up to: text, finish reason, prompt tokens, output tokens.
STREAMED = {
    "root stream": (" Paris.", "length", 6, 2),
    "a/completions stream": (" Paris.\n", "length", None, 3),
    "b/completions stream": (" Paris.\n", "length", 5, 3),
    "a/chat stream": ("Hello there! I", "length", None, 4),
    "b/chat stream": ("Hello there! I", "length", 33, 4),
    "a/chat stream usage": ("Hello there!", "length", None, 3),
    "b/chat stream usage": ("Hello there!", "length", 33, 3),
}

# Recordings of which only the first part of the body was kept: cut bodies as they come.
KEPT_IN_PART = re.compile(r"\.\.\.\[\d+ bytes total\]$")


def recordings(dialect: str) -> list[dict[str, Any]]:
    path = FOLDER / FILES[dialect]
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def generating() -> list[Any]:
    found = [
        pytest.param(dialect, recording, id=f"{dialect}/{recording['name']}")
        for dialect in FILES
        for recording in recordings(dialect)
        if recording["path"] in GENERATING and recording["method"] == "POST"
    ]
    missing = pytest.mark.skip(reason=f"no recordings at {FOLDER}")
    return found or [pytest.param("", {}, marks=missing, id="none")]


def sent_as(recording: dict[str, Any], ask: Callable[..., Any]) -> Any:
    """Our request that comes closest to the recorded one, which may be malformed on purpose."""
    try:
        body = json.loads(recording["request"])
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    params = body.get("parameters")
    params = params if isinstance(params, dict) else body
    stops = params.get("stop_sequences") or params.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    values: dict[str, Any] = {
        "stop_sequences": tuple(stop for stop in stops if isinstance(stop, str))
    }
    if recording["path"].startswith("/v1/chat"):
        return ask(api="chat", messages=(Message(role="user", content="Say hi."),), **values)
    api = "completions" if recording["path"].startswith("/v1/") else "generate"
    return ask(api=api, **values)


def is_stream(recording: dict[str, Any]) -> bool:
    headers = str(recording["headers"])
    return "event-stream" in headers or recording["path"] == "/generate_stream"


def play(recording: dict[str, Any], exchange: Any) -> None:
    """Sends a recorded answer with its status, its headers and its way to end."""
    if recording["status"] is None:
        exchange.hang()
        return
    body = recording["response"].encode()
    if "event-stream" in str(recording["headers"]):
        is_cut = "IncompleteRead" in str(recording["headers"])
        events = [event + b"\n\n" for event in body.split(b"\n\n") if event]
        exchange.stream(events, is_complete=not is_cut)
        return
    headers = {
        name: value for name, value in recording["headers"].items() if name != "content-length"
    }
    length = recording["headers"].get("content-length", str(len(body)))
    exchange.reply(body, status=recording["status"], headers={"Content-Length": length, **headers})
    if int(length) != len(body):
        exchange.close()


def expected_error(recording: dict[str, Any]) -> type[Exception] | None:
    text = recording["response"]
    if recording["status"] is None:
        return RequestTimeoutError
    if KEPT_IN_PART.search(text) or "IncompleteRead" in str(recording["headers"]):
        return BadResponseError
    if "max_new_tokens      " in text or "exceeds the character limit" in text:
        return PromptTooLongError
    if recording["status"] in {400, 417, 422, 500}:
        return RequestRejectedError
    assert recording["status"] == 200
    return None


def expected_answer(dialect: str, recording: dict[str, Any]) -> tuple[Any, ...]:
    name = recording["name"]
    streamed = STREAMED.get(f"{dialect}/{name}", STREAMED.get(name))
    if streamed:
        return streamed
    body = json.loads(recording["response"])
    if "choices" in body:
        choice, usage = body["choices"][0], body["usage"]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        numbers = (usage["prompt_tokens"], usage["completion_tokens"])
        reason = choice["finish_reason"]
    else:
        several = isinstance(body["finish_reason"], list)
        text = body["generated_text"][0]
        reason = body["finish_reason"][0] if several else body["finish_reason"]
        tokens = body["count_output_tokens"]
        numbers = (body["prompt_tokens"], tokens[0] if several else tokens)
    text, reason = CUT.get(name, (text, reason))
    return (text, reason, *numbers)


@pytest.mark.parametrize(("dialect", "recording"), generating())
def test_a_recorded_answer_is_a_completion_or_the_right_error(
    dialect: str,
    recording: dict[str, Any],
    serve: Callable[..., Any],
    connect: Callable[..., Client],
    ask: Callable[..., Any],
) -> None:
    server = serve(lambda exchange: play(recording, exchange))
    timeout_s = 0.3 if recording["status"] is None else 30.0
    client = connect(
        server.url, retries=0, stream=is_stream(recording), request_timeout_s=timeout_s
    )
    request = sent_as(recording, ask)
    error = expected_error(recording)
    if error:
        with pytest.raises(error) as caught:
            client.complete(request)
        assert type(caught.value) is error
        assert caught.value.url == server.url  # type: ignore[attr-defined]  # RequestError's
        assert caught.value.request_id == request.id  # type: ignore[attr-defined]  # as above
    else:
        completion = client.complete(request)
        assert (
            completion.text,
            completion.finish_reason,
            completion.prompt_tokens,
            completion.output_tokens,
        ) == expected_answer(dialect, recording)
        assert (completion.ttft_s is not None) == is_stream(recording)
    assert len(server.requests) == 1


@pytest.mark.parametrize("dialect", ["a", "b"])
def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(
    dialect: str,
    serve: Callable[..., Any],
    connect: Callable[..., Client],
    ask: Callable[..., Any],
) -> None:
    by_name = {recording["name"]: recording for recording in recordings(dialect)}
    if not by_name:
        pytest.skip(f"no recordings at {FOLDER}")
    # [A] cuts the stream without a word; asked again without streaming it says why.
    by_path = {
        "/generate_stream": by_name["stream too long"],
        "/generate": by_name["too long: prompt > max_req_total_len"],
    }
    server = serve(lambda exchange: play(by_path[exchange.path], exchange))
    with pytest.raises(PromptTooLongError, match=r"3002 tokens.* limit of 2048") as caught:
        connect(server.url, stream=True).complete(ask())
    assert caught.value.request_id == ask().id
    assert len(server.requests) == (2 if dialect == "a" else 1)


@pytest.mark.parametrize("dialect", ["a", "b"])
def test_the_probe_reads_the_recorded_server(
    dialect: str, serve: Callable[..., Any], connect: Callable[..., Client]
) -> None:
    by_name = {recording["name"]: recording for recording in recordings(dialect)}
    if not by_name:
        pytest.skip(f"no recordings at {FOLDER}")

    def answer(exchange: Any) -> None:
        recording = by_name[recording_for(exchange)]
        if exchange.path == "/get_server_info" and dialect == "b":
            # The recording was kept in part: close the object after its last whole pair.
            text = recording["response"].rsplit(",", 1)[0] + ',"max_req_total_len":2048}'
            exchange.reply(text.encode())
        elif "stop_sequences" in exchange.body.decode() and dialect == "b":
            body = json.loads(recording["response"])
            exchange.reply(body | {"tokens": body["tokens"][:2]})
        else:
            play(recording, exchange)

    def recording_for(exchange: Any) -> str:
        if exchange.method == "GET":
            path: str = exchange.path
            return "health first call" if path == "/health" else path.removeprefix("/")
        params = exchange.json["parameters"]
        if exchange.path == "/tokens":
            return "tokens params add_special" if params else "tokens"
        if params.get("temperature") == -1:
            return "stream temperature -1"
        if params["max_new_tokens"] > 2048:
            return "too long: max_new_tokens 10**9"
        return "prompt_logprobs param" if "prompt_logprobs" in params else "return_details"

    server = serve(answer)
    info = connect(server.url).probe(wait_s=30)
    assert info.dialect == dialect
    assert info.model_name == "smollm2-135m"
    assert info.adds_bos is True
    assert info.max_req_total_len == 2048
    assert info.is_tgi is False
    assert info.has_text_stop is (dialect == "b")
    assert info.has_prompt_logprobs is (dialect == "b")
    assert info.is_greedy_repeatable is True
    assert (info.settings.get("run_mode") == "normal") is (dialect == "b")
    assert [request.path for request in server.requests[:3]] == [
        "/health",
        "/get_model_name",
        "/get_server_info",
    ]
    assert len(server.requests) <= 11
