from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lightllm_evals.client.wire import build
from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Dialect, Message, ServerInfo

Ask = Callable[..., Any]


def info(dialect: Dialect, **values: Any) -> ServerInfo:
    return ServerInfo(url="http://h:1", dialect=dialect, model_name="llama", **values)


def sent(request: Any, server: ServerInfo | None = None, *, stream: bool = False) -> Any:
    return json.loads(build(request, server, stream=stream).body)


def test_every_value_with_a_default_that_varies_is_sent(ask: Ask) -> None:
    body = sent(ask(max_new_tokens=7, add_special_tokens=False), info("a"))
    assert body["inputs"] == "The capital of France is"
    parameters = body["parameters"]
    assert parameters["do_sample"] is False
    assert parameters["max_new_tokens"] == 7
    assert parameters["repetition_penalty"] == 1.0
    assert parameters["skip_special_tokens"] is True
    assert parameters["add_special_tokens"] is False
    assert parameters["stop_sequences"] is None
    assert parameters["return_details"] is False


def test_ten_stops_are_sent_at_most_and_none_that_a_server_refuses(ask: Ask) -> None:
    stops = ("", "é" * 128, "a", "a", *(f"<{number}>" for number in range(20)))
    body = sent(ask(stop_sequences=stops), info("b"))
    assert body["parameters"]["stop_sequences"] == [
        "a",
        *(f"<{number}>" for number in range(9)),
    ]


@pytest.mark.parametrize("api", ["generate", "chat", "completions"])
@pytest.mark.parametrize(("server", "expected"), [(info("b"), 7), (info("a"), None), (None, None)])
def test_a_seed_goes_only_to_a_server_that_has_seeds(
    api: str, server: ServerInfo | None, expected: int | None, ask: Ask
) -> None:
    body = sent(ask(api=api, seed=7), server)
    assert body.get("parameters", body).get("seed") == expected


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_greedy_is_temperature_0_for_servers_that_ignore_do_sample(api: str, ask: Ask) -> None:
    greedy = sent(ask(api=api), info("a"))
    assert (greedy["temperature"], greedy["do_sample"]) == (0, False)
    sampled = sent(ask(api=api, do_sample=True, temperature=0.8), info("a"))
    assert (sampled["temperature"], sampled["do_sample"]) == (0.8, True)


def test_a_chat_has_its_messages_and_a_lone_prompt_becomes_one(ask: Ask) -> None:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="Hi"))
    assert sent(ask(api="chat", messages=messages))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert sent(ask(api="chat"))["messages"] == [
        {"role": "user", "content": "The capital of France is"}
    ]


@pytest.mark.parametrize(("api", "key"), [("generate", "inputs"), ("completions", "prompt")])
def test_token_ids_are_sent_unchanged(api: str, key: str, ask: Ask) -> None:
    assert sent(ask(api=api, token_ids=(1, 504)))[key] == [1, 504]


@pytest.mark.parametrize(
    ("api", "form"),
    [
        ("generate", {"messages": (Message(role="user", content="Hi"),)}),
        ("completions", {"messages": (Message(role="user", content="Hi"),)}),
        ("chat", {"token_ids": (1, 2)}),
    ],
)
def test_a_prompt_in_a_form_that_the_interface_lacks_is_refused(
    api: str, form: dict[str, Any], ask: Ask
) -> None:
    with pytest.raises(ConfigError, match=f"api '{api}' cannot take"):
        build(ask(api=api, **form), None, stream=False)


@pytest.mark.parametrize(
    ("api", "stream", "path"),
    [
        ("generate", False, "/generate"),
        ("generate", True, "/generate_stream"),
        ("chat", False, "/v1/chat/completions"),
        ("chat", True, "/v1/chat/completions"),
        ("completions", False, "/v1/completions"),
        ("completions", True, "/v1/completions"),
    ],
)
def test_each_interface_has_its_path_and_its_way_to_ask_for_a_stream(
    api: str, stream: bool, path: str, ask: Ask
) -> None:
    call = build(ask(api=api), info("b"), stream=stream)
    assert call.path == path
    assert json.loads(call.body).get("stream", False) is (stream and api != "generate")


def test_tgi_servers_are_asked_for_details(ask: Ask) -> None:
    # Without them there is no finish reason; unknown servers may be of that kind.
    assert sent(ask(), info("a", is_tgi=True))["parameters"]["details"] is True
    assert sent(ask(), None)["parameters"]["details"] is True
    assert "details" not in sent(ask(), info("a"))["parameters"]


def test_the_request_id_travels_in_a_header(
    ask: Ask, serve: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    server = serve(lambda exchange: exchange.reply())
    connect(server.url).complete(ask(id="evals/test_é.py::test_x[HumanEval/0-1]\r\nX-Evil: 1"))
    headers = server.requests[0].headers
    assert headers["x-request-id"].startswith("evals/test_%C3%A9.py::test_x[HumanEval/0-1]")
    assert "x-evil" not in headers


def test_a_second_bos_is_refused_where_the_tokenizer_adds_one(ask: Ask) -> None:
    def answer(*, adds_bos: bool | None, **params: Any) -> str:
        request = replace(ask(**params), prompt="<s>[INST] hi [/INST]")
        return str(sent(request, info("a", adds_bos=adds_bos))["inputs"])

    with pytest.raises(ConfigError, match=r"begins with '<s>', and the server's tokenizer adds"):
        answer(adds_bos=True)
    assert answer(adds_bos=True, add_special_tokens=False).startswith("<s>")
    assert answer(adds_bos=False).startswith("<s>")
    assert answer(adds_bos=None).startswith("<s>")
