from __future__ import annotations

import socket

import pytest

from lightllm_evals.runner.transport import accepts_connections


def test_sees_whether_something_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert accepts_connections(f"http://127.0.0.1:{port}")
    assert not accepts_connections(f"http://127.0.0.1:{port}")


def test_leaves_the_answer_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert accepts_connections("http://server.invalid:2")
