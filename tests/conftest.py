"""What tests of several areas need: a simulated server in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests

# A loaded machine is slow; that is no bug in what a property says.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")

START_DEADLINE_S = 60.0

# A shell starts its background jobs with Ctrl-C ignored, and children inherit that: tests that
# send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class SimulatedServer:
    """A running ``python -m lightllm_evals.embedded --backend simulated``."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def stats(self) -> dict[str, Any]:
        """What it has seen so far."""
        with requests.Session() as session:
            session.trust_env = False
            found: dict[str, Any] = session.get(
                f"{self.url}/_simulated/stats", timeout=START_DEADLINE_S
            ).json()
            return found


@contextmanager
def _running(args: list[str]) -> Iterator[SimulatedServer]:
    command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", "simulated"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--exit-with-parent", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("LIGHTLLM_EVALS_READY "), line
        yield SimulatedServer(process, json.loads(line.partition(" ")[2])["url"])
    finally:
        process.stdin.close()
        try:
            process.wait(START_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Callable[..., SimulatedServer]]:
    """Starts simulated servers: ``simulated({prompt: completion}, "--slots", "64")``."""
    with ExitStack() as stack:

        def start(answers: Mapping[str, str] | None = None, *args: str) -> SimulatedServer:
            options = list(args)
            if answers is not None:
                path = tmp_path / f"answers-{len(list(tmp_path.iterdir()))}.jsonl"
                lines = [
                    json.dumps({"prompt": prompt, "completion": completion})
                    for prompt, completion in answers.items()
                ]
                path.write_text("\n".join(lines), encoding="utf-8")
                options += ["--answers", str(path)]
            return stack.enter_context(_running(options))

        yield start
