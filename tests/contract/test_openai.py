"""``/v1/completions`` and ``/v1/chat/completions``: fields, streams and counts."""

import json
from typing import Any

import pytest

Target = Any
PROMPT = "The capital of France is"
RAW: dict[str, Any] = {"model": "m", "prompt": PROMPT, "max_tokens": 4, "do_sample": False}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Say hi."}],
    "max_tokens": 4,
    "temperature": 0,
}


def completion(server: Target, **fields: Any) -> Any:
    response = server.ask("POST", "/v1/completions", RAW | fields)
    assert response.status_code == 200, response.text
    return response.json()


def chat(server: Target, **fields: Any) -> Any:
    response = server.ask("POST", "/v1/chat/completions", CHAT | fields)
    assert response.status_code == 200, response.text
    return response.json()


def check_usage(server: Target, usage: Any) -> None:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert ("prompt_tokens_details" in usage) == (server.dialect == "b")


def test_every_field_of_a_completion(server: Target) -> None:
    answer = completion(server)
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["model"]) == ("text_completion", "m")
    assert isinstance(answer["created"], int)
    (choice,) = answer["choices"]
    assert (choice["index"], choice["logprobs"]) == (0, None)
    assert choice["finish_reason"] in {"stop", "length"}
    check_usage(server, answer["usage"])
    bare = {"text": PROMPT, "parameters": {"add_special_tokens": False}}
    expected = server.ask("POST", "/tokens", bare).json()["ntokens"]
    assert answer["usage"]["prompt_tokens"] == expected


def test_a_list_of_prompts_is_a_batch_in_order(server: Target) -> None:
    alone = [completion(server, prompt=p)["choices"][0]["text"] for p in ("A b c", PROMPT)]
    answer = completion(server, prompt=["A b c", PROMPT])
    assert answer["id"].startswith("cmpl-batch-")
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    # Texts may differ by the shape of a batch, so only the first tokens' presence is certain.
    assert all(isinstance(choice["text"], str) for choice in answer["choices"])
    assert len(alone) == len(answer["choices"])
    check_usage(server, answer["usage"])


def test_token_ids_are_a_prompt(server: Target) -> None:
    assert completion(server, prompt=[5, 6, 7])["usage"]["prompt_tokens"] == 3
    assert completion(server, prompt=[[5, 6], [7]])["usage"]["prompt_tokens"] == 3


def test_a_stop_text_is_trimmed_in_the_newer_dialect_only(server: Target) -> None:
    tokens = completion(server, max_tokens=12, logprobs=1)["choices"][0]["logprobs"]["tokens"]
    stop = next(token for token in tokens[1:] if token.strip())
    before = "".join(tokens).partition(stop)[0]
    (choice,) = completion(server, max_tokens=12, stop=[stop])["choices"]
    assert choice["finish_reason"] == "stop"
    if server.dialect == "b":
        assert choice["text"] == before
    else:
        assert choice["text"].endswith(stop)


def test_logprobs_are_lists_over_the_tokens(server: Target) -> None:
    (choice,) = completion(server, logprobs=1)["choices"]
    lists = choice["logprobs"]
    assert set(lists) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert "".join(lists["tokens"]) == choice["text"]
    assert all(value <= 0 for value in lists["token_logprobs"])
    assert [list(top) for top in lists["top_logprobs"]] == [[t] for t in lists["tokens"]]
    assert lists["text_offset"][0] == 0


def test_echo_puts_the_prompt_before_the_text(server: Target) -> None:
    plain = completion(server)["choices"][0]["text"]
    (choice,) = completion(server, echo=True, logprobs=1)["choices"]
    assert choice["text"] == PROMPT + plain
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    assert choice["logprobs"]["token_logprobs"][0] is None


def test_two_texts_are_one_choice_in_the_older_dialect(server: Target) -> None:
    answer = completion(server, n=2, best_of=2)
    assert len(answer["choices"]) == (1 if server.dialect == "a" else 2)
    single = completion(server)["usage"]["completion_tokens"]
    assert answer["usage"]["completion_tokens"] == 2 * single


def events_of(server: Target, path: str, body: dict[str, Any]) -> list[Any]:
    events = server.stream(path, {**body, "stream": True})
    assert all(event.startswith("data: ") for event in events)
    return [event.removeprefix("data: ") for event in events]


def test_a_completion_stream(server: Target) -> None:
    whole = completion(server)
    *raw, done = events_of(server, "/v1/completions", RAW)
    assert done == "[DONE]"
    events = [json.loads(event) for event in raw]
    if server.dialect == "b":
        usage = events.pop()
        assert usage["choices"] == []
        assert usage["usage"] == whole["usage"]
    texts = [event["choices"][0]["text"] for event in events]
    assert "".join(texts) == whole["choices"][0]["text"]
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons == [None] * (len(events) - 1) + [whole["choices"][0]["finish_reason"]]


def test_every_field_of_a_chat(server: Target) -> None:
    answer = chat(server)
    assert (answer["object"], answer["model"]) == ("chat.completion", "m")
    assert isinstance(answer["id"], str)
    (choice,) = answer["choices"]
    message = choice["message"]
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str)
    assert message["tool_calls"] is None
    assert ("reasoning_content" in message) == (server.dialect == "b")
    check_usage(server, answer["usage"])


def test_two_chats_are_counted_as_the_dialect_does(server: Target) -> None:
    answer = chat(server, n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    single = chat(server)["usage"]["completion_tokens"]
    expected = single if server.dialect == "a" else 2 * single
    assert answer["usage"]["completion_tokens"] == expected


def test_a_chat_keeps_its_stop_text(server: Target) -> None:
    content = chat(server, max_tokens=12)["choices"][0]["message"]["content"]
    word = content.split()[1]
    stop = " " + word
    (choice,) = chat(server, max_tokens=12, stop=[stop])["choices"]
    if server.dialect == "b" or choice["finish_reason"] == "stop":
        assert stop in choice["message"]["content"]


def test_a_chat_stream(server: Target) -> None:
    whole = chat(server)
    events = events_of(server, "/v1/chat/completions", CHAT)
    if server.dialect == "b":
        assert events.pop() == "[DONE]"
        usage = json.loads(events.pop())
        assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    deltas = [json.loads(event)["choices"][0] for event in events]
    roles = [delta["delta"].get("role") for delta in deltas]
    if server.dialect == "b":
        assert roles == ["assistant"] + [None] * (len(roles) - 1)
        assert deltas[0]["delta"]["content"] == ""
    else:
        assert set(roles) == {"assistant"}
    content = "".join(delta["delta"]["content"] for delta in deltas)
    assert content == whole["choices"][0]["message"]["content"]
    assert deltas[-1]["finish_reason"] == whole["choices"][0]["finish_reason"]


def test_a_chat_stream_of_two(server: Target) -> None:
    body = {**CHAT, "n": 2, "stream": True}
    response = server.ask("POST", "/v1/chat/completions", body)
    if server.dialect == "a":
        assert response.status_code == 400
        return
    events = [e.removeprefix("data: ") for e in response.text.split("\n\n") if e][:-2]
    indices = {json.loads(event)["choices"][0]["index"] for event in events}
    assert indices == {0, 1}


def test_max_completion_tokens_wins_in_the_newer_dialect(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("the older generation ignores it")
    answer = chat(server, max_tokens=4, max_completion_tokens=1)
    assert answer["usage"]["completion_tokens"] == 1


def test_content_may_come_in_parts(server: Target) -> None:
    parts = [{"type": "text", "text": "Say hi."}]
    answer = chat(server, messages=[{"role": "user", "content": parts}])
    assert answer["usage"] == chat(server)["usage"]
