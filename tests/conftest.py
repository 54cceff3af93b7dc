"""What all tests need: a check that nothing is left behind, data sets, and simulated servers."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
import requests

from lightllm_evals.datasets import storage

# A loaded machine is slow; that is no bug in what a property says.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")

START_DEADLINE_S = 60.0

# How long a process may take to end after the test that started it, on however busy a machine.
END_DEADLINE_S = 60.0
MARK = "LIGHTLLM_EVALS_TESTS"

# A shell starts its background jobs with Ctrl-C ignored, and children inherit that: tests that
# send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fails the session where tests left a process, a socket or a temporary file behind.

    Looks only at what is this session's own, so that others may run beside it, as xdist's
    workers do: its descendants, processes that carry its mark, and its temporary folder.
    """
    mark = uuid.uuid4().hex
    before = set(psutil.Process().children(recursive=True))
    sockets = _own_sockets()
    folder = Path(tempfile.mkdtemp(prefix="lightllm-evals-tests-"))
    # As /tmp itself: sandboxes of another user have their scratch folders in it, too.
    folder.chmod(0o1777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
    gc.collect()
    _, processes = psutil.wait_procs(_own_processes(mark) - before, timeout=END_DEADLINE_S)
    left = [f"process {_described(process)}" for process in processes]
    left += [f"socket {socket}" for socket in _own_sockets() - sockets]
    # Pytest inside pytest keeps its folders for people to look at.
    left += [f"file {path}" for path in folder.iterdir() if "pytest-of-" not in path.name]
    for process in processes:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"tests left behind: {'; '.join(left)}"


def _own_processes(mark: str) -> set[psutil.Process]:
    """Returns our descendants, and those whose parent ended before them."""
    found = set(psutil.Process().children(recursive=True))
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.add(process)
        except psutil.Error:
            # Somebody else's, or gone in the meantime.
            continue
    return found


def _own_sockets() -> set[tuple[Any, ...]]:
    found = psutil.Process().net_connections("inet")
    return {(each.fd, each.laddr, each.raddr, each.status) for each in found}


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} ({' '.join(process.cmdline())})"
    except psutil.Error:
        return str(process.pid)


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
def tiny(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the sources read fixtures/datasets, whose checksums are not the registry's."""
    folder = pytestconfig.rootpath / "fixtures" / "datasets"
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(folder))
    monkeypatch.setattr(storage, "check_sum", lambda *_: None)


@pytest.fixture
def shared(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the sources read the real data sets beside the checkout, and returns their folder."""
    folder = pytestconfig.rootpath.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder.parent.name}/{folder.name} beside the checkout")
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(folder))
    return folder


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
