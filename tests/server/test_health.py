from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lightllm_evals.server.health import HealthCheck

Until = Callable[[Callable[[], object]], None]


class Server:
    """Accepts connections and answers when the test says so."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        self.listener.settimeout(60)
        connection, _ = self.listener.accept()
        return connection


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with server.listener:
        yield server


def test_200_is_healthy(server: Server, until: Until) -> None:
    with HealthCheck(server.url) as health:
        assert not health.is_healthy()
        with server.accept() as connection:
            assert connection.recv(65536).startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:")
            connection.sendall(b"HTTP/1.1 2")
            assert not health.is_healthy()
            connection.sendall(b"00 OK\r\n\r\n")
            until(health.is_healthy)


def test_open_question_is_not_asked_again(server: Server) -> None:
    with HealthCheck(server.url) as health:
        assert not any(health.is_healthy() for _ in range(20))
        with server.accept():
            server.listener.settimeout(0.0)
            with pytest.raises(BlockingIOError):
                server.listener.accept()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"garbage\n", b""]
)
def test_any_other_answer_is_not_healthy_and_asked_again_after_a_rest(
    server: Server, monkeypatch: pytest.MonkeyPatch, until: Until, answer: bytes
) -> None:
    monkeypatch.setattr("lightllm_evals.server.health._REST_S", 0.0)
    with HealthCheck(server.url) as health, ExitStack() as stack:
        assert not health.is_healthy()
        with server.accept() as connection:
            connection.sendall(answer)
        server.listener.settimeout(0.0)
        second: list[socket.socket] = []

        def asked_again() -> bool:
            assert not health.is_healthy()
            try:
                second.append(stack.enter_context(server.listener.accept()[0]))
            except BlockingIOError:
                return False
            return True

        until(asked_again)
        second[0].sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        until(health.is_healthy)


def test_refused_connection_is_not_healthy(server: Server) -> None:
    server.listener.close()
    with HealthCheck(server.url) as health:
        assert not health.is_healthy()
