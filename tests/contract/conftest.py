"""The servers that the contract is held against, and a plain client for them.

Without ``--lightllm-url``: the embedded server on both backends in both dialects. With it: the
server there, in the dialect that it turns out to speak.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from lightllm_evals.embedded import weights
from lightllm_evals.errors import HarnessError

READY = "LIGHTLLM_EVALS_READY "
TIMEOUT_S = 120.0
PROMPT = "The capital of France is"
SHORT = ("--max-req-total-len", "384")
"""A prompt at the limit is one of the tests, and a CPU reads 2,048 tokens for half a minute."""

EMBEDDED = ("simulated-a", "simulated-b", "llama-a", "llama-b")


@dataclass(frozen=True)
class Target:
    """A server under test, and what is known about it before the tests.

    Attributes:
        backend: "simulated", "llama", or "" for a server that somebody else runs.
        max_total: Its limit on prompt plus output tokens.
    """

    url: str
    dialect: str
    backend: str
    max_total: int
    session: requests.Session

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self.session.request(
            method, self.url + path, data=data, headers=headers, timeout=TIMEOUT_S, **options
        )

    def generate(self, inputs: Any = PROMPT, **parameters: Any) -> requests.Response:
        greedy = {"do_sample": False, "max_new_tokens": 4, "repetition_penalty": 1.0}
        body = {"inputs": inputs, "parameters": greedy | parameters}
        return self.ask("POST", "/generate", body)

    def stream(self, path: str, body: Any) -> list[str]:
        """Returns the events of a stream, each without its blank line."""
        response = self.ask("POST", path, body)
        assert response.status_code == 200
        return [event for event in response.text.split("\n\n") if event]

    def message(self, response: requests.Response) -> str:
        """Returns the text of a refusal, after a check of its shape."""
        body = response.json()
        if self.dialect == "a":
            assert set(body) == {"message"}
            return str(body["message"])
        assert set(body) == {"error"}
        assert set(body["error"]) >= {"message", "type", "param", "code"}
        assert body["error"]["code"] == response.status_code
        return str(body["error"]["message"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target_name" in metafunc.fixturenames:
        names = _given_urls(metafunc.config) or EMBEDDED
        metafunc.parametrize("target_name", names, scope="session")


def _given_urls(config: pytest.Config) -> list[str]:
    given = config.getoption("lightllm_url", default=None) or []
    texts = [given] if isinstance(given, str) else list(given)
    urls = [url.strip() for text in texts for url in str(text).split(",")]
    return [url.rstrip("/").removesuffix("/generate") for url in urls if url]


@pytest.fixture(scope="session")
def targets() -> Iterator[Callable[[str], Target]]:
    """A function that returns the target of a name; starts it at its first use."""
    known: dict[str, Target] = {}
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.trust_env = False

        def target(name: str) -> Target:
            if name not in known:
                is_url = name.startswith("http")
                url = name if is_url else stack.enter_context(_embedded(name, *SHORT))
                backend = "" if is_url else name.partition("-")[0]
                known[name] = _probed(url, backend, session)
            return known[name]

        yield target


@pytest.fixture
def server(target_name: str, targets: Callable[[str], Target]) -> Target:
    return targets(target_name)


@pytest.fixture(scope="session")
def start_embedded() -> Callable[..., contextlib.AbstractContextManager[str]]:
    """A function that starts an embedded server, by name and options, and gives its URL."""
    return _embedded


@contextlib.contextmanager
def _embedded(name: str, *options: str) -> Iterator[str]:
    backend, dialect = name.split("-")
    if backend == "llama":
        _skip_without_model()
    command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", backend]
    command += ["--dialect", dialect, "--model-name", "smollm2-135m", "--exit-with-parent"]
    process = subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(READY)
        yield str(json.loads(line.removeprefix(READY))["url"])
    finally:
        process.stdin.close()
        process.wait(TIMEOUT_S)
        process.stdout.close()


def _skip_without_model() -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed (the extra cpu)")
    try:
        weights.ensure()
    except HarnessError as error:
        pytest.skip(f"the embedded model cannot be had here: {error}")


def _probed(url: str, backend: str, session: requests.Session) -> Target:
    # Once and alone, as the protocol asks of whoever meets a server of the older generation.
    session.get(url + "/health", timeout=TIMEOUT_S)
    refused = session.post(
        url + "/generate",
        json={"inputs": "x", "parameters": {"do_sample": True, "temperature": -1}},
        timeout=TIMEOUT_S,
    )
    dialect = "a" if refused.status_code == 417 else "b"
    probe = Target(url, dialect, backend, 0, session)
    return Target(url, dialect, backend, _max_total(probe), session)


def _max_total(probe: Target) -> int:
    info = probe.ask("GET", "/get_server_info")
    if info.status_code == 200:
        return int(info.json()["max_req_total_len"])
    refused = probe.generate(max_new_tokens=10**9)
    return int(probe.message(refused).rpartition(">")[2])
