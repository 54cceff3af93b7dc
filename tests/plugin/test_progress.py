"""One live line on a terminal, with and without xdist; none with -q or where nobody looks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

NUM = 24

DEADLINE_S = 300


def on_a_terminal(args: list[str], folder: Any) -> str:
    """Returns everything that pytest shows on a terminal of its own."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *args],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(theirs)
        shown = b""
        try:
            # Linux says EIO when the last writer is gone.
            while part := screen.read(65536):
                shown += part
        except OSError:
            pass
        process.wait(DEADLINE_S)
    return shown.decode()


@pytest.fixture
def served(
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    simulated: Callable[..., Any],
) -> str:
    """The option for a server that knows the page's answers; every third is wrong."""
    toy(NUM)
    return f"--lightllm-url={simulated(answers(NUM, 3)).url}"


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_terminal_has_one_live_line(
    pytester: pytest.Pytester, served: str, distribution: str
) -> None:
    shown = on_a_terminal([distribution, served], pytester.path)
    states = re.findall(r"\r[^\n]*?(\d+)/24 done", shown)
    assert states, shown
    assert states[-1] == "24"
    assert "24/24 done, 66.7 % passed, 0 in flight" in shown
    assert "F..F" not in shown, "it stands in for the dots"


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_quiet_terminal_has_none(
    pytester: pytest.Pytester, served: str, distribution: str
) -> None:
    shown = on_a_terminal([distribution, "-q", served], pytester.path)
    assert "24 scored" in shown
    assert not re.search(r"\d+/\d+ done", shown)


def test_a_log_has_no_carriage_returns(pytester: pytest.Pytester, served: str) -> None:
    result = pytester.runpytest_subprocess(served, timeout=DEADLINE_S)
    assert "24 scored" in str(result.stdout)
    assert "\r" not in str(result.stdout)
