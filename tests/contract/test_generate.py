"""``/generate``, ``/generate_stream`` and ``/``: fields, stops and counts."""

import json
from typing import Any

import pytest

Target = Any
PROMPT = "The capital of France is"


def tokens_of(server: Target, **parameters: Any) -> list[dict[str, Any]]:
    """Returns the details of a greedy completion's tokens."""
    answer = server.generate(max_new_tokens=12, return_details=True, **parameters).json()
    tokens: list[dict[str, Any]] = answer["tokens"]
    return tokens


def test_every_field_of_an_answer(server: Target) -> None:
    response = server.generate()
    answer = response.json()
    assert "content-type" not in response.headers
    (text,) = answer["generated_text"]
    assert isinstance(text, str)
    assert 1 <= answer["count_output_tokens"] <= 4
    assert answer["finish_reason"] in {"stop", "length"}
    assert (
        answer["prompt_tokens"]
        == server.ask("POST", "/tokens", {"text": PROMPT}).json()["ntokens"]
    )
    if server.dialect == "b":
        assert len(answer["logprobs"]) == answer["count_output_tokens"]
        assert answer["input_usage"]["input_text_tokens"] == answer["prompt_tokens"]


def test_details_list_the_tokens_of_the_text(server: Target) -> None:
    answer = server.generate(return_details=True).json()
    tokens = answer["tokens"]
    assert "".join(token["text"] for token in tokens) == answer["generated_text"][0]
    numbers = range(1, answer["count_output_tokens"] + 1)
    assert [token["count_output_tokens"] for token in tokens] == list(numbers)
    total = 0.0
    for number, token in zip(numbers, tokens, strict=True):
        total += token["logprob"]
        assert token["logprob"] <= 0
        assert token["cumlogprob"] == pytest.approx(total / number)
        assert token["special"] in {True, False}
        assert token["prompt_tokens"] == answer["prompt_tokens"]


def test_the_newer_logprobs_are_those_of_the_tokens(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("only the newer generation has them")
    answer = server.generate(return_details=True).json()
    for token, entry in zip(answer["tokens"], answer["logprobs"], strict=True):
        assert entry[str(token["id"])]["logprob"] == token["logprob"]
        assert entry[str(token["id"])]["rank"] == 1


def test_n_completions_make_lists(server: Target) -> None:
    answer = server.generate(best_of=2, do_sample=True, return_details=True).json()
    for name in ("generated_text", "count_output_tokens", "finish_reason", "tokens"):
        assert len(answer[name]) == 2
    if server.dialect == "b":
        assert len(answer["logprobs"]) == 2


def test_greedy_repeats_itself(server: Target) -> None:
    assert tokens_of(server)[0]["id"] == tokens_of(server)[0]["id"]


def test_the_limit_ends_by_length(server: Target) -> None:
    answer = server.generate(max_new_tokens=1).json()
    assert (answer["count_output_tokens"], answer["finish_reason"]) == (1, "length")


def test_stop_ids_end_with_their_last_token_kept(server: Target) -> None:
    ids = [token["id"] for token in tokens_of(server)]
    pair = ids[1:3]
    answer = server.generate(max_new_tokens=12, stop_sequences=[pair]).json()
    assert (answer["count_output_tokens"], answer["finish_reason"]) == (3, "stop")


def test_a_stop_text_is_kept(server: Target) -> None:
    tokens = tokens_of(server)
    texts = [token["text"] for token in tokens]
    stop = next(text for text in texts[1:] if text.strip())
    answer = server.generate(max_new_tokens=12, stop_sequences=[stop]).json()
    assert answer["finish_reason"] == "stop"
    assert answer["generated_text"][0].endswith(stop)
    assert answer["generated_text"][0] == "".join(texts[: answer["count_output_tokens"]])


def straddling_stop(tokens: list[dict[str, Any]]) -> tuple[str, int]:
    """Returns the end of a token with the whole next one, and where that one is."""
    texts = [token["text"] for token in tokens]
    for index in range(len(texts) - 1):
        stop = texts[index][-1:] + texts[index + 1]
        starts_inside = len(texts[index]) > 1 and texts[index + 1] != ""
        if starts_inside and stop not in "".join(texts[: index + 1]):
            return stop, index + 1
    pytest.skip("this model's completion has no two tokens to straddle")


def test_a_stop_that_straddles_tokens_fires_in_the_newer_dialect_only(server: Target) -> None:
    tokens = tokens_of(server)
    stop, index = straddling_stop(tokens)
    answer = server.generate(max_new_tokens=12, stop_sequences=[stop]).json()
    if server.dialect == "b":
        assert (answer["count_output_tokens"], answer["finish_reason"]) == (index + 1, "stop")
        assert answer["generated_text"][0].endswith(stop)
    else:
        whole = "".join(token["text"] for token in tokens)
        assert answer["generated_text"][0] == whole


def test_a_text_may_come_alone_or_as_a_list_and_bad_items_are_dropped(server: Target) -> None:
    stop = next(t["text"] for t in tokens_of(server)[1:] if t["text"].strip())
    expected = server.generate(max_new_tokens=12, stop_sequences=[stop]).json()
    for stops in (stop, ["", 7, stop, None]):
        answer = server.generate(max_new_tokens=12, stop_sequences=stops).json()
        assert answer["generated_text"] == expected["generated_text"]


def test_token_ids_are_a_prompt_without_bos(server: Target) -> None:
    answer = server.generate([5, 6, 7], return_details=True).json()
    assert answer["prompt_tokens"] == 3


def test_special_tokens_can_be_left_out(server: Target) -> None:
    bare = server.generate(add_special_tokens=False).json()["prompt_tokens"]
    assert bare <= server.generate().json()["prompt_tokens"] <= bare + 1


def test_unknown_parameters_and_constraints_without_a_mode_are_ignored(server: Target) -> None:
    plain = server.generate().json()["generated_text"]
    for odd in ({"typo": 1}, {"regular_constraint": "[0-9]+"}, {"allowed_token_ids": [5]}):
        assert server.generate(**odd).json()["generated_text"] == plain


def test_a_sampled_seed_repeats_in_the_newer_dialect(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("the older generation has no seed")
    sampled = {"do_sample": True, "temperature": 1.0, "max_new_tokens": 8, "seed": 11}
    first, second = (server.generate(**sampled).json() for _ in range(2))
    assert first["generated_text"] == second["generated_text"]


def test_unicode_comes_and_goes_unharmed(server: Target) -> None:
    response = server.generate("你好 🎉 /path", max_new_tokens=6)
    assert response.status_code == 200
    assert response.content.decode("utf-8")


def stream_body(**parameters: Any) -> dict[str, Any]:
    greedy = {"do_sample": False, "max_new_tokens": 4, "repetition_penalty": 1.0}
    return {"inputs": PROMPT, "parameters": greedy | parameters}


def test_a_stream_is_the_answer_token_by_token(server: Target) -> None:
    whole = server.generate(return_details=True).json()
    events = server.stream("/generate_stream", stream_body())
    assert all(event.startswith("data:{") for event in events)
    parsed = [json.loads(event.removeprefix("data:")) for event in events]
    assert "".join(event["token"]["text"] for event in parsed) == whole["generated_text"][0]
    assert [e["token"]["id"] for e in parsed] == [token["id"] for token in whole["tokens"]]
    assert [e["finished"] for e in parsed] == [False] * (len(parsed) - 1) + [True]
    assert parsed[-1]["finish_reason"] == whole["finish_reason"]
    for number, event in enumerate(parsed, 1):
        assert event["token"]["count_output_tokens"] == number
        assert event["token"]["prompt_tokens"] == whole["prompt_tokens"]
        assert event["generated_text"] is None
        assert event["details"] is None
        assert ("input_usage" in event) == (server.dialect == "b")


def test_a_stream_has_its_content_type(server: Target) -> None:
    response = server.ask("POST", "/generate_stream", stream_body())
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["transfer-encoding"] == "chunked"


def test_the_root_is_generate_or_its_stream(server: Target) -> None:
    whole = server.generate().json()
    assert (
        server.ask("POST", "/", stream_body()).json()["generated_text"] == whole["generated_text"]
    )
    events = server.stream("/", {**stream_body(), "stream": True})
    assert len(events) == whole["count_output_tokens"]


def test_a_connection_is_kept(server: Target) -> None:
    import http.client
    from urllib.parse import urlsplit

    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    try:
        for _ in range(3):
            connection.request("POST", "/generate", json.dumps(stream_body()))
            response = connection.getresponse()
            response.read()
            # http.client closes it when the server does not want to keep it.
            assert connection.sock is not None
    finally:
        connection.close()
