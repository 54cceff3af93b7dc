"""Refusals: which status and what shape, in either dialect."""

from typing import Any

import pytest
import requests

Target = Any
LONG_MESSAGE = r"max_new_tokens +\d+ > "


def status(server: Target, a: int, b: int) -> int:
    return a if server.dialect == "a" else b


BAD_VALUES: list[dict[str, Any]] = [
    {"do_sample": True, "temperature": -1},
    {"do_sample": True, "top_p": 0},
    {"do_sample": True, "top_p": 1.5},
    {"do_sample": True, "top_k": 0},
    {"repetition_penalty": 0.5},
    {"presence_penalty": -0.5},
    {"frequency_penalty": -0.5},
    {"max_new_tokens": 0},
    {"max_new_tokens": 3, "min_new_tokens": 5},
    {"n": 2},
    {"best_of": 9},
]


@pytest.mark.parametrize("parameters", BAD_VALUES, ids=str)
def test_a_bad_value_is_refused_with_its_name(server: Target, parameters: dict[str, Any]) -> None:
    response = server.generate(**parameters)
    assert response.status_code == status(server, 417, 400)
    assert any(name in server.message(response) for name in parameters)


@pytest.mark.parametrize("value", ["3", 3.0, None, [3]])
def test_a_bad_type_is_417_in_both(server: Target, value: Any) -> None:
    response = server.generate(max_new_tokens=value)
    assert response.status_code == 417
    assert "integer" in server.message(response)


@pytest.mark.parametrize("name", ["inputs", "parameters"])
def test_a_missing_key_is_417_in_both(server: Target, name: str) -> None:
    body = {"inputs": "x", "parameters": {}}
    del body[name]
    response = server.ask("POST", "/generate", body)
    assert response.status_code == 417
    assert server.message(response) == f"'{name}'"


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_malformed_json_is_refused(server: Target, path: str) -> None:
    response = server.ask("POST", path, b"{bad")
    assert response.status_code == status(server, 417, 400)
    assert "line 1 column 2" in server.message(response)


def test_malformed_json_on_the_root_is_a_bare_500(server: Target) -> None:
    response = server.ask("POST", "/", b"{bad")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("inputs", "b_status"), [(["a", "b"], 400), (None, 417), (7, 417), ([99_999_999], 400)]
)
def test_what_is_no_prompt_is_refused(server: Target, inputs: Any, b_status: int) -> None:
    response = server.generate(inputs)
    assert response.status_code == status(server, 417, b_status)
    assert server.message(response)


def test_an_empty_prompt_is_refused_unless_bos_fills_it(server: Target) -> None:
    response = server.generate("", add_special_tokens=False)
    assert response.status_code == status(server, 417, 400)
    assert server.message(response) == "prompt_ids is empty"


def test_ten_stops_are_the_most(server: Target) -> None:
    assert server.generate(stop_sequences=["a"] * 10).status_code == 200
    response = server.generate(stop_sequences=["a"] * 11)
    assert response.status_code == 417
    assert server.message(response) == "Too many stop sequence groups."


def long_prompt(server: Target, num_tokens: int) -> list[int]:
    return [5] * num_tokens


def test_a_prompt_over_the_limit_is_refused_with_both_numbers(server: Target) -> None:
    response = server.generate(long_prompt(server, server.max_total + 1))
    assert response.status_code == status(server, 417, 400)
    numbers = [int(word) for word in server.message(response).split() if word.isdigit()]
    assert numbers == [server.max_total + 1, 4, server.max_total]


def test_a_sum_over_the_limit_is_refused_in_a_and_cut_in_b(server: Target) -> None:
    response = server.generate(long_prompt(server, server.max_total - 3), max_new_tokens=100)
    if server.dialect == "a":
        assert response.status_code == 417
        assert server.message(response).endswith(f"100 > {server.max_total}")
        return
    assert response.status_code == 200
    assert response.json()["count_output_tokens"] <= 3


def test_a_stream_of_a_long_prompt_fails_after_its_200(server: Target) -> None:
    body = {"inputs": long_prompt(server, server.max_total + 1), "parameters": {}}
    if server.dialect == "a":
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            server.ask("POST", "/generate_stream", body)
        return
    response = server.ask("POST", "/generate_stream", body)
    assert response.status_code == 200
    assert response.text.startswith('data: {"error":{"message":"the input prompt token len')
    assert response.text.count("data:") == 1


def test_a_stream_of_two_is_refused(server: Target) -> None:
    body = {"inputs": "x", "parameters": {"best_of": 2}}
    response = server.ask("POST", "/generate_stream", body)
    assert response.status_code == 417
    assert server.message(response) == "stream api only support best_of == 1"


def test_a_bad_parameter_of_a_stream_is_an_ordinary_refusal(server: Target) -> None:
    body = {"inputs": "x", "parameters": {"do_sample": True, "temperature": -1}}
    response = server.ask("POST", "/generate_stream", body)
    assert response.status_code == status(server, 417, 400)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
RAW = {"model": "m", "prompt": "hi", "max_tokens": 2, "do_sample": True}
BOTH = [("/v1/completions", RAW), ("/v1/chat/completions", CHAT)]


def refused_value(server: Target, response: requests.Response) -> None:
    """Asserts what ``/v1/*`` answers to a bad value."""
    if server.dialect == "a":
        assert (response.status_code, response.text) == (500, "Internal Server Error")
    else:
        assert response.status_code == 400
        assert server.message(response)


@pytest.mark.parametrize(("path", "body"), BOTH, ids=["completions", "chat"])
@pytest.mark.parametrize("change", [{"temperature": -1}, {"max_tokens": 0}, {"top_p": 2}], ids=str)
def test_a_bad_value_of_v1(
    server: Target, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    refused_value(server, server.ask("POST", path, {**body, **change}))


@pytest.mark.parametrize(("path", "body"), BOTH, ids=["completions", "chat"])
def test_eleven_stops_are_a_500_of_v1_in_both(
    server: Target, path: str, body: dict[str, Any]
) -> None:
    response = server.ask("POST", path, {**body, "stop": ["a"] * 11})
    assert (response.status_code, response.text) == (500, "Internal Server Error")


def test_a_long_prompt_of_v1(server: Target) -> None:
    prompt = long_prompt(server, server.max_total + 1)
    refused_value(server, server.ask("POST", "/v1/completions", {**RAW, "prompt": prompt}))


def test_an_empty_chat(server: Target) -> None:
    refused_value(server, server.ask("POST", "/v1/chat/completions", {**CHAT, "messages": []}))


def test_n_without_best_of(server: Target) -> None:
    refused_value(server, server.ask("POST", "/v1/completions", {**RAW, "n": 2}))


@pytest.mark.parametrize(("path", "body"), BOTH, ids=["completions", "chat"])
@pytest.mark.parametrize("value", ["many", 2.5, [1]], ids=str)
def test_a_bad_type_of_v1_is_422_with_its_place(
    server: Target, path: str, body: dict[str, Any], value: Any
) -> None:
    response = server.ask("POST", path, {**body, "max_tokens": value})
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["body", "max_tokens"]
    assert problem["input"] == value


@pytest.mark.parametrize(("path", "body"), BOTH, ids=["completions", "chat"])
@pytest.mark.parametrize("value", ["2", 2.0], ids=str)
def test_numerals_are_taken_by_v1(
    server: Target, path: str, body: dict[str, Any], value: Any
) -> None:
    response = server.ask("POST", path, {**body, "max_tokens": value})
    assert response.status_code == 200
    assert response.json()["usage"]["completion_tokens"] <= 2


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [("/v1/completions", RAW, "prompt"), ("/v1/chat/completions", CHAT, "messages")],
    ids=["completions", "chat"],
)
def test_a_missing_field_of_v1_is_422(
    server: Target, path: str, body: dict[str, Any], missing: str
) -> None:
    response = server.ask("POST", path, {k: v for k, v in body.items() if k != missing})
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert (problem["type"], problem["loc"]) == ("missing", ["body", missing])


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_malformed_json_of_v1_is_422(server: Target, path: str) -> None:
    response = server.ask("POST", path, b"{bad")
    assert response.status_code == 422
    assert response.json()["detail"][0]["type"] == "json_invalid"


def test_chat_needs_a_model_in_the_older_dialect_only(server: Target) -> None:
    body = {name: value for name, value in CHAT.items() if name != "model"}
    response = server.ask("POST", "/v1/chat/completions", body)
    assert response.status_code == status(server, 422, 200)


def test_a_message_without_content_is_422(server: Target) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": None}]}
    response = server.ask("POST", "/v1/chat/completions", body)
    assert response.status_code == 422
    places = [problem["loc"] for problem in response.json()["detail"]]
    assert all(place[:3] == ["body", "messages", 0] for place in places)


@pytest.mark.parametrize(("path", "body"), BOTH, ids=["completions", "chat"])
def test_logit_bias_is_not_supported(server: Target, path: str, body: dict[str, Any]) -> None:
    response = server.ask("POST", path, {**body, "logit_bias": {"1": 1.0}})
    assert response.status_code == 400
    assert "logit_bias" in server.message(response)


def test_a_suffix_is_not_supported(server: Target) -> None:
    response = server.ask("POST", "/v1/completions", {**RAW, "suffix": "x"})
    assert response.status_code == 400
    assert "suffix" in server.message(response)
