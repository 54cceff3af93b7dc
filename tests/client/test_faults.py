"""A server that misbehaves: every request ends, in time, with the right error."""

from __future__ import annotations

import concurrent.futures
import pickle
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from lightllm_evals import errors
from lightllm_evals.client import Client, RateLimit, connections
from lightllm_evals.errors import (
    BadResponseError,
    RequestCancelledError,
    RequestError,
    RequestRejectedError,
    RequestTimeoutError,
    ServerUnreachableError,
)

Serve = Callable[..., Any]
Connect = Callable[..., Client]
Ask = Callable[..., Any]

HTML = b"<!DOCTYPE html><html><body>It works!</body></html>"
CUT = b'{"generated_text":[" Par'

# Far longer than any step takes, on however busy a machine.
SOON_S = 30


def first_then_good(bad: Callable[[Any], object]) -> Callable[[Any], None]:
    """Answers badly on the first connection attempt, well afterwards."""
    seen = threading.Event()

    def answer(exchange: Any) -> None:
        if seen.is_set():
            exchange.reply()
        else:
            seen.set()
            bad(exchange)

    return answer


def cut_body(exchange: Any) -> None:
    exchange.reply(CUT, headers={"Content-Length": "500"})
    exchange.close()


TRANSIENT: dict[str, tuple[Callable[[Any], object], type[RequestError]]] = {
    "503": (lambda e: e.reply({"message": "busy"}, status=503), ServerUnreachableError),
    "429": (lambda e: e.reply({"error": {"message": "busy"}}, status=429), ServerUnreachableError),
    "502 in HTML": (lambda e: e.reply(HTML, status=502), ServerUnreachableError),
    "closed without a word": (lambda e: e.close(), ServerUnreachableError),
    "reset": (lambda e: e.reset(), ServerUnreachableError),
    "cut body": (cut_body, BadResponseError),
    "not JSON": (lambda e: e.reply(b"\x00\xff garbage"), BadResponseError),
    "JSON cut at its end": (lambda e: e.reply(CUT), BadResponseError),
    "empty body": (lambda e: e.reply(b""), BadResponseError),
    "deeply nested": (lambda e: e.reply(b"[" * 200_000), BadResponseError),
    "JSON of another kind": (lambda e: e.reply({"text": "hi"}), BadResponseError),
    "a bare number": (lambda e: e.reply(7), BadResponseError),
    "text is a number": (lambda e: e.reply({"generated_text": 7}), BadResponseError),
    "not HTTP": (lambda e: (e.send(b"SSH-2.0-x\r\n"), e.close()), BadResponseError),
    "aborted": (
        lambda e: e.reply({"generated_text": [""], "finish_reason": "abort"}),
        BadResponseError,
    ),
    "engine error": (
        lambda e: e.reply({"generated_text": ["x"], "finish_reason": ["error"]}),
        BadResponseError,
    ),
    "500 of /generate": (
        lambda e: e.reply(b"Internal Server Error", status=500),
        BadResponseError,
    ),
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_passing_fault_is_tried_again(
    fault: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(first_then_good(TRANSIENT[fault][0]))
    completion = connect(server.url).complete(ask())
    assert completion.text == " Paris.\n"
    assert completion.attempts == 2


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_lasting_fault_ends_after_the_retries_and_says_how_often_it_tried(
    fault: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    bad, expected = TRANSIENT[fault]
    server = serve(bad)
    advice = "; try again when the server has less to do.*" if fault in {"503", "429"} else ""
    sentence = rf"\(tried 3 times over \d+\.\d s\){advice}$"
    with pytest.raises(RequestError, match=sentence) as caught:
        connect(server.url, retries=2).complete(ask())
    assert type(caught.value) is expected
    assert server.url in str(caught.value)
    assert caught.value.request_id == ask().id
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", TRANSIENT)
def test_with_other_replicas_only_a_lost_server_has_fewer_attempts(
    fault: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(TRANSIENT[fault][0])
    with pytest.raises(RequestError):
        connect(server.url, retries=3, unreachable_retries=1).complete(ask())
    is_lost = fault in {"502 in HTML", "closed without a word", "reset"}
    assert len(server.requests) == (2 if is_lost else 4)


def test_a_refused_connection_ends_as_unreachable(
    dead_url: str, connect: Connect, ask: Ask
) -> None:
    with pytest.raises(ServerUnreachableError, match=r"refused \(tried 5 times over"):
        connect(dead_url).complete(ask())


def test_no_retries_means_one_attempt(dead_url: str, connect: Connect, ask: Ask) -> None:
    with pytest.raises(ServerUnreachableError, match="tried once"):
        connect(dead_url, retries=0).complete(ask())


@pytest.mark.parametrize("status", [400, 404, 405, 413, 417, 422])
def test_a_refusal_is_never_tried_again(
    status: int, serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.reply({"message": "no such thing"}, status=status))
    with pytest.raises(RequestRejectedError, match=f"{status}: no such thing"):
        connect(server.url).complete(ask())
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "attempts"), [(200, 3), (404, 1), (501, 3)])
def test_a_page_for_people_is_no_lightllm_server(
    status: int, attempts: int, serve: Serve, connect: Connect, ask: Ask
) -> None:
    server = serve(lambda exchange: exchange.reply(HTML, status=status))
    with pytest.raises(BadResponseError, match="does not look like a LightLLM server"):
        connect(server.url, retries=2).complete(ask())
    # A proxy in trouble sends pages; an address that is wrong stays wrong.
    assert len(server.requests) == attempts


def test_a_redirect_is_not_followed(serve: Serve, connect: Connect, ask: Ask) -> None:
    server = serve(lambda e: e.reply(b"", status=302, headers={"Location": "http://[bad"}))
    with pytest.raises(BadResponseError, match="redirect"):
        connect(server.url).complete(ask())
    assert len(server.requests) == 1


def good_but_slow_headers(exchange: Any) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    exchange.trickle(b"X-Wait: 1\r\n")


def good_but_slow_body(exchange: Any) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    exchange.trickle(b" ")


def good_but_slow_body_without_length(exchange: Any) -> None:
    exchange.send(b'HTTP/1.1 200 OK\r\n\r\n{"generated_text": ["x"], "finish_reason": "stop"}')
    exchange.trickle(b" ")


def slow_stream(exchange: Any) -> None:
    exchange.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    exchange.trickle(b"1\r\n:\r\n")


SLOW = {
    "hang": (lambda exchange: exchange.hang(), False),
    "trickled headers": (good_but_slow_headers, False),
    "trickled body": (good_but_slow_body, False),
    "trickled body without a length": (good_but_slow_body_without_length, False),
    "hanging stream": (lambda exchange: exchange.hang(), True),
    "trickled stream": (slow_stream, True),
}


@pytest.mark.parametrize("fault", SLOW)
def test_the_deadline_beats_a_server_that_is_slow_at_any_point(
    fault: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    answer, stream = SLOW[fault]
    server = serve(answer)
    client = connect(server.url, request_timeout_s=0.3, stream=stream)
    with pytest.raises(RequestTimeoutError, match=r"within 0\.3 s") as caught:
        client.complete(ask())
    assert caught.value.request_id == ask().id
    # The socket is closed, so that the server drops the request; there is no second one.
    assert server.gone.wait(SOON_S)
    assert len(server.requests) == 1


def test_the_deadline_of_a_request_leaves_the_others_alone(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    release = threading.Event()

    def answer(exchange: Any) -> None:
        if "hang" in exchange.json["inputs"]:
            exchange.hang()
        else:
            release.wait(SOON_S)
            exchange.reply()

    server = serve(answer)
    quick, patient = connect(server.url, request_timeout_s=0.3), connect(server.url)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        good = pool.submit(patient.complete, ask())
        bad = [pool.submit(quick.complete, ask(prompt="hang")) for _ in range(3)]
        for future in bad:
            assert isinstance(future.exception(SOON_S), RequestTimeoutError)
        release.set()
        assert good.result(SOON_S).text == " Paris.\n"


def test_a_client_is_usable_after_a_timeout(serve: Serve, connect: Connect, ask: Ask) -> None:
    server = serve(first_then_good(lambda exchange: exchange.hang()))
    client = connect(server.url, request_timeout_s=3.0)
    with pytest.raises(RequestTimeoutError):
        client.complete(ask())
    assert client.complete(ask()).text == " Paris.\n"


@pytest.mark.parametrize("fault", ["hang", "trickled headers", "trickled body", "trickled stream"])
def test_cancel_all_ends_requests_in_flight_at_once_and_later_ones_at_their_start(
    fault: str, serve: Serve, connect: Connect, ask: Ask
) -> None:
    answer, stream = SLOW[fault]
    server = serve(answer)
    client = connect(server.url, request_timeout_s=600.0, stream=stream)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(client.complete, ask()) for _ in range(4)]
        assert server.arrived.wait(SOON_S)
        client.cancel_all()
        for future in futures:
            assert isinstance(future.exception(SOON_S), RequestCancelledError)
    seen = len(server.requests)
    with pytest.raises(RequestCancelledError):
        client.complete(ask())
    assert len(server.requests) == seen


def test_cancel_all_cuts_the_wait_between_attempts_short(serve: Serve, ask: Ask) -> None:
    server = serve(lambda e: e.reply({}, status=503, headers={"Retry-After": "600"}))
    with (
        Client(server.url) as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        future = pool.submit(client.complete, ask())
        assert server.arrived.wait(SOON_S)
        client.cancel_all()
        assert isinstance(future.exception(SOON_S), RequestCancelledError)


def test_close_ends_requests_in_flight_and_the_watching_thread(serve: Serve, ask: Ask) -> None:
    server = serve(lambda exchange: exchange.hang())
    client = Client(server.url)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(client.complete, ask())
        assert server.arrived.wait(SOON_S)
        client.close()
        assert isinstance(future.exception(SOON_S), RequestCancelledError)
    names = [thread.name for thread in threading.enumerate()]
    assert "lightllm-evals deadlines" not in names


def test_close_closes_idle_connections_although_an_error_is_kept(serve: Serve, ask: Ask) -> None:
    server = serve(first_then_good(lambda exchange: exchange.reset()))
    with Client(server.url, retries=0) as client:
        with pytest.raises(ServerUnreachableError) as kept:
            client.complete(ask())
        client.complete(ask())
        assert len(connections_to(server.url)) == 1
    assert connections_to(server.url) == []
    assert "broke before an answer" in str(kept.value)


def connections_to(url: str) -> list[Any]:
    port = urlsplit(url).port
    found = psutil.Process().net_connections("inet")
    return [each for each in found if getattr(each.raddr, "port", None) == port]


def test_retry_after_is_honoured(serve: Serve, ask: Ask) -> None:
    waits: list[float] = []
    server = serve(
        first_then_good(lambda e: e.reply({}, status=503, headers={"Retry-After": "7"}))
    )
    with Client(server.url, sleep=waits.append) as client:
        assert client.complete(ask()).attempts == 2
    assert waits == [7.0]


def test_waits_grow_and_stay_bounded(dead_url: str, ask: Ask) -> None:
    waits: list[float] = []
    with (
        Client(dead_url, retries=8, sleep=waits.append, rng=lambda: 1.0) as client,
        pytest.raises(ServerUnreachableError),
    ):
        client.complete(ask())
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_connections_are_kept_alive_and_shared(serve: Serve, connect: Connect, ask: Ask) -> None:
    server = serve(lambda exchange: exchange.reply())
    client = connect(server.url)
    for _ in range(5):
        client.complete(ask())
    assert server.num_connections == 1


def test_a_connection_that_the_server_closed_while_idle_costs_no_attempt(
    serve: Serve, connect: Connect, ask: Ask
) -> None:
    def answer(exchange: Any) -> None:
        exchange.reply()
        exchange.close()
        closed.set()

    closed = threading.Event()
    server = serve(answer)
    client = connect(server.url, retries=0)
    client.complete(ask())
    assert closed.wait(SOON_S)
    assert client.complete(ask()).attempts == 1
    assert server.num_connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    serve: Serve, connect: Connect, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda exchange: exchange.reply())
    client = connect(server.url)
    client.complete(ask())
    monkeypatch.setattr(connections, "MAX_IDLE_S", -1.0)
    client.complete(ask())
    assert server.num_connections == 2


def test_many_threads_share_one_client(serve: Serve, connect: Connect, ask: Ask) -> None:
    server = serve(lambda e: e.reply({"generated_text": [e.json["inputs"]]}))
    client = connect(server.url)
    prompts = [f"prompt {number}" for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda p: client.complete(ask(prompt=p)).text, prompts))
    assert texts == prompts
    assert server.num_connections <= 16


def test_rate_is_shared_between_attempts_and_clients(serve: Serve, ask: Ask) -> None:
    now = [0.0]
    limit = RateLimit(2.0, clock=lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    server = serve(lambda exchange: exchange.reply())
    with (
        Client(server.url, rate=limit, sleep=sleep) as first,
        Client(server.url, rate=limit, sleep=sleep) as second,
    ):
        for _ in range(5):
            first.complete(ask())
            second.complete(ask())
    assert now[0] == pytest.approx(9 / 2.0)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, RequestError)
    ],
)
def test_errors_survive_pickling(kind: type[RequestError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened", "case[1]", "http://h:1")))
    assert type(error) is kind
    assert (str(error), error.request_id, error.url) == ("what happened", "case[1]", "http://h:1")


def test_an_error_of_a_real_request_survives_pickling(
    dead_url: str, connect: Connect, ask: Ask
) -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        connect(dead_url).complete(ask())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert (copy.request_id, copy.url) == (ask().id, dead_url)


def test_the_latency_is_that_of_the_last_attempt(serve: Serve, ask: Ask) -> None:
    now = [0.0]
    lock = threading.Lock()

    def clock() -> float:
        with lock:
            now[0] += 1.0
            return now[0]

    server = serve(first_then_good(lambda exchange: exchange.close()))
    with Client(server.url, clock=clock, sleep=lambda _: None) as client:
        completion = client.complete(ask())
    assert completion.attempts == 2
    assert completion.latency_s == 1.0
