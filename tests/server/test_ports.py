from __future__ import annotations

import socket

import pytest

from lightllm_evals.errors import ServerError
from lightllm_evals.server import ports


def test_picked_ports_are_free_and_never_picked_again() -> None:
    picked = [port for _ in range(50) for port in ports.pick_ports(2)]
    assert len(set(picked)) == 100
    assert all(ports.is_port_free(port) for port in picked)
    assert all(ports.FIRST_PORT <= port <= ports.LAST_PORT for port in picked)


def test_port_with_a_listener_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not ports.is_port_free(port)
    assert ports.is_port_free(port)


def test_port_in_time_wait_counts_as_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert ports.is_port_free(port)


def test_taken_and_avoided_ports_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST_PORT", port)
        monkeypatch.setattr(ports, "LAST_PORT", port)
        with pytest.raises(ServerError, match=r"Found 0 free ports .* need 1"):
            ports.pick_ports(1)
    with pytest.raises(ServerError, match=r"Found 0 free ports"):
        ports.pick_ports(1, avoid=[port])
    assert ports.pick_ports(1) == [port]
