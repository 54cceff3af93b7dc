"""A run leaves no process, port or temporary folder behind, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

DEADLINE_S = 120.0
NUM = 60

# Where the command for LightLLM's launcher leads: to a server that answers, slowly.
LAUNCHER = """
import argparse, os, sys
parser = argparse.ArgumentParser()
for name in ("host", "port", "model_dir", "nccl_port", "tp", "max_req_total_len"):
    parser.add_argument(f"--{name}")
args = parser.parse_args()
command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", "simulated"]
command += ["--port", args.port, "--answers", ANSWERS, "--slots", "2", "--step-ms", "40"]
os.execv(sys.executable, command)
"""


def wait_until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    never = threading.Event()
    while not is_true():
        assert time.monotonic() < deadline, "it never came true"
        never.wait(0.02)


def recorded(folder: Path) -> list[str]:
    """Returns the whole lines that are on disk."""
    lines = [
        line
        for path in folder.glob(".lightllm-evals/runs/*/results.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
    ]
    return [line for line in lines if line.endswith("\n")]


@pytest.fixture
def launched(
    pytester: pytest.Pytester,
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """The command of a run that starts its server; everything temporary goes to one folder."""
    toy(NUM)
    path = pytester.path / "answers.jsonl"
    known = [{"prompt": key, "completion": text} for key, text in answers(NUM, 3).items()]
    path.write_text("\n".join(json.dumps(each) for each in known), encoding="utf-8")
    package = pytester.mkdir("site") / "lightllm" / "server"
    package.mkdir(parents=True)
    launcher = LAUNCHER.replace("ANSWERS", repr(str(path)))
    (package / "api_server.py").write_text(launcher, encoding="utf-8")
    pytester.mkdir("model")
    pytester.mkdir("temporary")
    search = os.pathsep.join([str(pytester.path / "site"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", search.rstrip(os.pathsep))
    monkeypatch.setenv("TMPDIR", str(pytester.path / "temporary"))
    return [
        sys.executable,
        *("-m", "pytest", "-p", "no:hypothesispytest"),
        "--lightllm-model-dir=model",
        "--lightllm-concurrency=2",
    ]


def assert_all_gone(folder: Path, descendants: list[psutil.Process], output: str) -> None:
    _, alive = psutil.wait_procs(descendants, timeout=DEADLINE_S)
    assert alive == []
    (port,) = set(re.findall(r"lightllm: http://127\.0\.0\.1:(\d+) \(started", output))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
    assert list((folder / "temporary").iterdir()) == []


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_results_and_takes_everything_down(
    pytester: pytest.Pytester, launched: list[str], distribution: str, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*launched, distribution],
        cwd=pytester.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(recorded(pytester.path)) >= 3 or process.poll() is not None)
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert descendants, "its server, at least"
        # As a terminal does: to every process of the foreground.
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    assert_all_gone(pytester.path, descendants, output)
    lines = [json.loads(line) for line in recorded(pytester.path)]
    assert 3 <= len(lines) < NUM
    if number == signal.SIGINT:
        assert process.returncode == pytest.ExitCode.INTERRUPTED
        assert f"{NUM} planned, {len(lines)} scored" in output
        assert f"{NUM - len(lines)} never finished" in output
        (summary,) = pytester.path.glob(".lightllm-evals/runs/*/summary.json")
        assert len(json.loads(summary.read_bytes())["unfinished"]) == NUM - len(lines)


def test_a_run_that_ends_leaves_nothing(pytester: pytest.Pytester, launched: list[str]) -> None:
    process = subprocess.Popen(
        [*launched, "-n2", "--lightllm-limit=30"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        wait_until(lambda: recorded(pytester.path) or process.poll() is not None)
        descendants = psutil.Process(process.pid).children(recursive=True)
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert "30 scored: 20 passed, 10 failed" in output
    assert_all_gone(pytester.path, descendants, output)
