from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from lightllm_evals.server import LaunchSpec
from lightllm_evals.server.flags import FlagValue

Python = Callable[[str], tuple[str, ...]]
Until = Callable[[Callable[[], object]], None]

# A loaded two-core machine may need long; a failing test is allowed to take this much.
DEADLINE_S = 60.0


@pytest.fixture
def until() -> Until:
    """Waits for a condition that another process brings about."""

    def wait(is_true: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        tick = threading.Event()
        while not is_true():
            assert time.monotonic() < deadline_s, "the condition did not come true in time"
            tick.wait(0.02)

    return wait


@pytest.fixture
def python() -> Python:
    """Makes the command that runs a script; every script ends by itself after two minutes."""

    def command(script: str) -> tuple[str, ...]:
        lifetime = "import signal, os; signal.alarm(120)\n"
        return (sys.executable, "-c", lifetime + textwrap.dedent(script))

    return command


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """Every test must leave this process without a new descendant."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = set(psutil.Process().children(recursive=True)) - before
    assert not left, f"left behind: {left}"


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    def check(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return check


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Runs a script as a harness of its own, which a test may kill."""
    started: list[subprocess.Popen[bytes]] = []

    def run(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=tmp_path,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


class StandIn:
    """Makes launch specs for the stand-in ``lightllm`` package."""

    def __init__(self, tmp_path: Path) -> None:
        self.model_dir = tmp_path / "tiny-model"
        self.model_dir.mkdir()
        self.dir = tmp_path / "standin"
        self.dir.mkdir()

    def spec(
        self,
        generation: str = "a",
        death: str = "",
        *,
        flags: Mapping[str, FlagValue] | None = None,
        server_args: Mapping[str, str] | None = None,
        **env: str,
    ) -> LaunchSpec:
        return LaunchSpec(
            model_dir=str(self.model_dir),
            flags=flags or {},
            server_args=server_args or {},
            env={
                "PYTHONPATH": str(Path(__file__).parent / "standin"),
                "STANDIN_GENERATION": generation,
                "STANDIN_DEATH": death,
                "STANDIN_DIR": str(self.dir),
                **env,
            },
        )

    def members(self, log_path: Path) -> list[int]:
        """Returns the processes that the stand-in's log names."""
        if not log_path.exists():
            return []
        lines = log_path.read_text(encoding="utf-8").splitlines()
        return [int(line.rpartition(" ")[2]) for line in lines if "[standin] member " in line]


@pytest.fixture
def standin(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)
