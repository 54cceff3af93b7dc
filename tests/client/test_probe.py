from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.client import Client, asking
from lightllm_evals.client.probe import straddling_stop
from lightllm_evals.errors import (
    BadResponseError,
    PromptTooLongError,
    RequestCancelledError,
    RequestRejectedError,
    ServerUnreachableError,
)
from lightllm_evals.records import Message

Serve = Callable[..., Any]
Connect = Callable[..., Client]
Ask = Callable[..., Any]

SOON_S = 30
TEXTS = [" Paris", ".", "\n", "\n", "The", " capital", " of", " the"]
HTML = b"<html><body>It works!</body></html>"


class Imitation:
    """A small LightLLM of either dialect; attributes bend it for one test."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.tokens = [5, 5]
        self.limit = 2048
        self.settings: dict[str, Any] | None = {"max_req_total_len": 2048, "port": 1}
        self.is_tgi = False
        self.has_prompt_logprobs = False
        self.is_repeatable = True
        self.num_generations = 0
        self.overrides: dict[str, Callable[[Any], object]] = {}

    def __call__(self, exchange: Any) -> None:
        if exchange.path in self.overrides:
            self.overrides[exchange.path](exchange)
        elif exchange.path == "/health":
            exchange.reply({"message": "Ok"})
        elif exchange.path == "/get_model_name":
            exchange.reply({"model_name": "llama"})
        elif exchange.path == "/tokens":
            has_special = exchange.json["parameters"].get("add_special_tokens", True)
            exchange.reply({"ntokens": self.tokens[0] if has_special else self.tokens[1]})
        elif exchange.path == "/generate":
            self.generate(exchange, exchange.json["parameters"])
        elif self.dialect == "b" and exchange.path == "/get_server_info" and self.settings:
            exchange.reply(self.settings)
        elif self.dialect == "b" and exchange.path == "/v1/models":
            exchange.reply({"data": [{"id": "llama", "max_model_len": self.limit}]})
        else:
            exchange.reply({"detail": "Not Found"}, status=404)

    def refuse(self, exchange: Any, message: str) -> None:
        if self.dialect == "a":
            exchange.reply({"message": message}, status=417)
        else:
            exchange.reply({"error": {"message": message, "code": 400}}, status=400)

    def generate(self, exchange: Any, params: dict[str, Any]) -> None:
        if params["do_sample"] and params.get("temperature", 1) < 0:
            self.refuse(exchange, "temperature must > 0.0, got -1.0")
            return
        if params["max_new_tokens"] > self.limit:
            assert self.dialect == "a", "this would generate until the context is full"
            self.refuse(
                exchange,
                f"the input prompt token len 6 + max_new_tokens     {10**9} > {self.limit}",
            )
            return
        if "prompt_logprobs" in params and not self.has_prompt_logprobs:
            self.refuse(exchange, "prompt_logprobs needs --enable_prompt_logprobs")
            return
        exchange.reply(self.answer(params))

    def answer(self, params: dict[str, Any]) -> Any:
        self.num_generations += 1
        texts = TEXTS[: params["max_new_tokens"]]
        if self.dialect == "b" and (stops := params.get("stop_sequences")):
            last = next(i for i in range(9) if stops[0] in "".join(texts[:i]))
            texts = texts[:last]
        if not self.is_repeatable:
            texts = [*texts[:-1], f" {self.num_generations}"]
        tokens = [{"id": number, "text": text} for number, text in enumerate(texts, 3)]
        found: dict[str, Any] = {
            "generated_text": ["".join(texts)],
            "finish_reason": "length",
            "count_output_tokens": len(texts),
            "tokens": tokens,
        }
        has_mode = self.has_prompt_logprobs and self.dialect == "a"
        if has_mode or "prompt_logprobs" in params:
            found["prompt_logprobs"] = []
        if self.is_tgi:
            del found["tokens"], found["finish_reason"], found["count_output_tokens"]
            return [found | {"generated_text": "".join(texts), "details": {"tokens": tokens}}]
        return found


@pytest.fixture(params=["a", "b"])
def imitation(request: pytest.FixtureRequest) -> Imitation:
    return Imitation(request.param)


@pytest.mark.parametrize("has_bos", [True, False])
@pytest.mark.parametrize("has_logprobs", [True, False])
def test_the_probe_finds_out_everything(
    has_bos: bool, has_logprobs: bool, imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.tokens = [6 if has_bos else 5, 5]
    imitation.has_prompt_logprobs = has_logprobs
    server = serve(imitation)
    info = connect(server.url + "/generate").probe(wait_s=SOON_S)
    is_b = imitation.dialect == "b"
    assert info.url == server.url
    assert info.dialect == imitation.dialect
    assert info.model_name == "llama"
    assert info.adds_bos is has_bos
    assert info.max_req_total_len == 2048
    assert info.is_tgi is False
    assert info.has_text_stop is is_b
    assert info.has_prompt_logprobs is has_logprobs
    assert info.is_greedy_repeatable is True
    assert dict(info.settings) == (imitation.settings if is_b else {})
    paths = [request.path for request in server.requests]
    assert paths[0] == "/health"
    assert paths.count("/health") == 1
    assert len(paths) <= 11
    assert imitation.num_generations <= 4


@pytest.mark.parametrize("is_tgi", [True, False])
@pytest.mark.parametrize("has_start", [True, False])
def test_it_is_found_out_whether_scores_may_begin_later(
    has_start: bool, is_tgi: bool, imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    def generate(exchange: Any) -> None:
        ids, params = exchange.json["inputs"], exchange.json["parameters"]
        if not isinstance(ids, list):
            imitation.generate(exchange, params)
            return
        assert params["disable_prompt_cache"] is True
        assert params["logprob_start_len"] == 2
        first = None if has_start else -1.0
        found: dict[str, Any] = {"generated_text": ["x"], "prompt_token_ids": ids}
        if imitation.dialect == "a":
            pairs = zip(ids, ids[1:], [first, -2.0], strict=False)
            found["prompt_logprobs"] = [[a, {str(b): value}] for a, b, value in pairs]
        else:
            entries = [{str(i): {"logprob": -1.0, "rank": 1}} for i in ids]
            found["prompt_logprobs"] = [None, None if has_start else entries[1], entries[2]]
        exchange.reply([found] if imitation.is_tgi else found)

    imitation.has_prompt_logprobs, imitation.is_tgi = True, is_tgi
    imitation.overrides["/generate"] = generate
    info = connect(serve(imitation).url).probe(wait_s=SOON_S)
    assert (info.has_prompt_logprobs, info.has_logprob_start) == (True, has_start)


def test_the_limit_of_b_without_settings_comes_from_its_models(
    serve: Serve, connect: Connect
) -> None:
    imitation = Imitation("b")
    imitation.settings, imitation.limit = None, 777
    info = connect(serve(imitation).url).probe(wait_s=SOON_S)
    assert (info.dialect, info.max_req_total_len) == ("b", 777)


def test_tgi_mode_and_unrepeatable_greedy_are_seen(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.is_tgi, imitation.is_repeatable = True, False
    info = connect(serve(imitation).url).probe(wait_s=SOON_S)
    assert info.is_tgi is True
    assert info.is_greedy_repeatable is False


def test_later_requests_keep_to_what_the_probe_found(
    imitation: Imitation, serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(imitation)
    client = connect(server.url)
    client.probe(wait_s=SOON_S)
    client.complete(ask(seed=7))
    params = server.requests[-1].json["parameters"]
    assert params.get("seed") == (7 if imitation.dialect == "b" else None)


def test_a_server_that_becomes_healthy_in_time_is_waited_for(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    seen = []

    def health(exchange: Any) -> None:
        seen.append(exchange)
        is_ready = len(seen) > 3
        exchange.reply({"message": "Ok" if is_ready else "Error"}, status=200 if is_ready else 503)

    imitation.overrides["/health"] = health
    server = serve(imitation)
    assert connect(server.url).probe(wait_s=SOON_S).model_name == "llama"
    paths = [request.path for request in server.requests]
    assert paths[:5] == ["/health"] * 4 + ["/get_model_name"]


def test_a_server_that_is_never_healthy_is_one_clear_sentence(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.overrides["/health"] = lambda e: e.reply({"message": "Error"}, status=503)
    server = serve(imitation)
    with pytest.raises(ServerUnreachableError) as caught:
        connect(server.url).probe(wait_s=0.2)
    text = str(caught.value)
    assert "within 0.2 s: /health answered 503: Error" in text
    assert server.url in text
    assert "\n" not in text
    assert {request.path for request in server.requests} == {"/health"}


def test_a_dead_url_is_one_clear_sentence(dead_url: str, connect: Connect) -> None:
    with pytest.raises(ServerUnreachableError, match=r"within 0\.2 s: .*refused") as caught:
        connect(dead_url).probe(wait_s=0.2)
    assert dead_url in str(caught.value)


def test_a_health_check_that_hangs_ends_with_the_wait(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.overrides["/health"] = lambda exchange: exchange.hang()
    with pytest.raises(ServerUnreachableError, match="no complete answer from /health"):
        connect(serve(imitation).url).probe(wait_s=0.2)


@pytest.mark.parametrize("path", ["/health", "/get_model_name", "/generate"])
@pytest.mark.parametrize(
    "foreign",
    [
        lambda e: e.reply(HTML),
        lambda e: e.reply(HTML, status=404, headers={"Content-Type": "text/html"}),
        lambda e: e.reply({"detail": "Not Found"}, status=404),
        lambda e: e.reply(b""),
        lambda e: e.reply(b"OK"),
        lambda e: (e.send(b"220 mail.example.com ESMTP\r\n"), e.close()),
    ],
    ids=["page", "missing page", "missing", "empty", "text", "not HTTP"],
)
def test_another_program_is_told_at_once(
    foreign: Callable[[Any], object],
    path: str,
    imitation: Imitation,
    serve: Serve,
    connect: Connect,
) -> None:
    imitation.overrides[path] = foreign
    server = serve(imitation)
    with pytest.raises(BadResponseError) as caught:
        connect(server.url).probe(wait_s=SOON_S)
    assert server.url in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_healthy_server_that_generates_nothing_is_told(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.overrides["/generate"] = lambda exchange: exchange.hang()
    with pytest.raises(ServerUnreachableError, match=r"generates nothing within 0\.3 s"):
        connect(serve(imitation).url, request_timeout_s=0.3).probe(wait_s=SOON_S)


def test_any_question_without_an_answer_in_time_makes_the_server_unreachable(
    imitation: Imitation, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_QUICK_TIMEOUT_S", 0.3)
    imitation.overrides["/get_model_name"] = lambda exchange: exchange.hang()
    with pytest.raises(ServerUnreachableError, match=r"/get_model_name within 0\.3 s"):
        connect(serve(imitation).url).probe(wait_s=SOON_S)


def test_a_server_that_refuses_to_generate_says_why(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    imitation.overrides["/generate"] = lambda e: imitation.refuse(e, "only prefill here")
    with pytest.raises(BadResponseError, match="refuses to generate 8 tokens: only prefill here"):
        connect(serve(imitation).url).probe(wait_s=SOON_S)


def test_the_probe_outlives_passing_faults(
    imitation: Imitation, serve: Serve, connect: Connect
) -> None:
    """Every other request fails: busy, or cut."""
    faults: list[Callable[[Any], object]] = [
        lambda e: e.reply({}, status=503),
        lambda e: (e.reply(b"{", headers={"Content-Length": "9"}), e.close()),
    ]
    state = {"number": 0}

    def answer(exchange: Any) -> None:
        state["number"] += 1
        if exchange.path != "/health" and state["number"] % 2 == 0:
            faults[state["number"] // 2 % 2](exchange)
        else:
            imitation(exchange)

    info = connect(serve(answer).url).probe(wait_s=SOON_S)
    assert (info.dialect, info.model_name) == (imitation.dialect, "llama")


def test_a_probe_can_be_cancelled(imitation: Imitation, serve: Serve, connect: Connect) -> None:
    imitation.overrides["/health"] = lambda exchange: exchange.hang()
    server = serve(imitation)
    client = connect(server.url)
    caught: list[Exception] = []

    def run() -> None:
        try:
            client.probe(wait_s=600)
        except RequestCancelledError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert server.arrived.wait(SOON_S)
    client.cancel_all()
    thread.join(SOON_S)
    assert len(caught) == 1


@given(st.lists(st.text("ab. ", max_size=4), max_size=8))
def test_a_straddling_stop_first_occurs_over_the_edge_of_two_tokens(texts: list[str]) -> None:
    stop = straddling_stop(texts)
    if stop is None:
        return
    edges = [len("".join(texts[:number])) for number in range(len(texts))]
    assert "".join(texts).find(stop) + 1 in edges
    assert all(stop not in text for text in texts[: edges.index("".join(texts).find(stop) + 1)])


def test_a_straddling_stop_is_found_where_there_is_one() -> None:
    assert straddling_stop(TEXTS) == "s."
    assert straddling_stop(["a", "b"]) is None
    assert straddling_stop([]) is None


@pytest.mark.parametrize(
    "form",
    [
        {"api": "completions", "prompt": "word " * 3000},
        {"api": "completions", "token_ids": tuple(range(3000))},
        {"api": "chat", "messages": (Message(role="user", content="word " * 3000),)},
    ],
    ids=["completions", "token ids", "chat"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bare_500_for_a_prompt_that_does_not_fit_is_explained(
    form: dict[str, Any], stream: bool, serve: Serve, connect: Connect, ask: Ask
) -> None:
    imitation = Imitation("a")

    def refuse(exchange: Any) -> None:
        if exchange.json.get("stream"):
            exchange.stream([], is_complete=False)
        else:
            exchange.reply(b"Internal Server Error", status=500)

    imitation.overrides["/v1/completions"] = refuse
    imitation.overrides["/v1/chat/completions"] = refuse
    client = connect(serve(imitation).url, stream=stream)
    client.probe(wait_s=SOON_S)
    imitation.tokens = [3001, 3000]
    with pytest.raises(PromptTooLongError, match=r"3000 tokens.* limit of 2048"):
        client.complete(ask(**form))


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_bare_500_for_a_prompt_that_fits_stays_a_refusal(
    api: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    imitation = Imitation("a")
    refusal = {"status": 500}
    imitation.overrides["/v1/completions"] = lambda e: e.reply(b"Internal Server Error", **refusal)
    imitation.overrides["/v1/chat/completions"] = imitation.overrides["/v1/completions"]
    server = serve(imitation)
    client = connect(server.url)
    client.probe(wait_s=SOON_S)
    before = len(server.requests)
    with pytest.raises(RequestRejectedError, match="500: Internal Server Error") as caught:
        client.complete(ask(api=api))
    assert type(caught.value) is RequestRejectedError
    paths = [request.path for request in server.requests[before:]]
    assert len([path for path in paths if path.startswith("/v1/")]) == 1
