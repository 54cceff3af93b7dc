"""Embedded servers as child processes, and a plain HTTP client for them."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

READY = "LIGHTLLM_EVALS_READY "
DEADLINE_S = 60.0


class Answer(NamedTuple):
    """One whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running embedded server."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready
        self.host, port = ready["url"].removeprefix("http://").split(":")
        self.port = int(port)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

    def generate(self, prompt: Any, **parameters: Any) -> Answer:
        return self.ask("POST", "/generate", {"inputs": prompt, "parameters": parameters})

    def stats(self) -> Any:
        return self.ask("GET", "/_simulated/stats").json

    def wait_for(self, is_reached: Callable[[], bool]) -> None:
        """Returns once the condition holds; asking the server again is the waiting."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not is_reached():
            assert time.monotonic() < deadline_s

    def wait_for_stats(self, is_reached: Callable[[Any], bool]) -> Any:
        """Returns the statistics once they say so."""
        seen: list[Any] = []

        def check() -> bool:
            seen.append(self.stats())
            return is_reached(seen[-1])

        self.wait_for(check)
        return seen[-1]


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "lightllm_evals.embedded", *options]


@contextlib.contextmanager
def running(*options: str) -> Iterator[Server]:
    process = subprocess.Popen(
        command("--exit-with-parent", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(READY), process.stderr.read()
        yield Server(process, json.loads(line.removeprefix(READY)))
    finally:
        process.stdin.close()
        process.wait(DEADLINE_S)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """A function that starts a simulated server with options; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Server:
            return stack.enter_context(running("--backend", "simulated", *options))

        yield start


@pytest.fixture(scope="module")
def start_llama() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """A function that starts a server with the real model."""
    return running


@pytest.fixture
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs the command to its end."""

    def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        import os

        return subprocess.run(
            command(*options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=DEADLINE_S,
            env={**os.environ, **environment},
            check=False,
        )

    return run


@pytest.fixture
def answers_file(tmp_path: Path) -> Path:
    lines = [
        {"prompt": "one", "completion": " first answer"},
        {"prompt": "two", "completion": " second\nclass X:\n    pass"},
        {"prompt": "timed", "completion": " some words in a row", "output_tokens": 20},
        {"prompt": "many", "completion": " A"},
        {"prompt": "many", "completion": " B"},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
