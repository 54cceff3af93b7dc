"""The worker that was sending the plan dies: another one sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NUM = 100  # two portions

# Whichever worker is asked for the plan first ends before it sends the last portion.
DIE_ONCE = """
import os
from lightllm_evals.pytest_workers import WorkerSide

send = WorkerSide._send

def dying(self, **message):
    if message["type"] == "plan" and message["last"]:
        try:
            os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os._exit(1)
        with open(MARK, "a") as file:
            file.write(os.environ["PYTEST_XDIST_WORKER"] + " ")
    send(self, **message)

WorkerSide._send = dying
"""


@pytest.mark.parametrize("distribution", ["load", "worksteal"])
def test_another_worker_sends_the_plan(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    results: Callable[[], list[dict[str, Any]]],
    distribution: str,
) -> None:
    toy(NUM)
    mark = pytester.path / "died"
    pytester.makeconftest(DIE_ONCE.replace("MARK", repr(str(mark))))
    server = simulated(answers(NUM, NUM + 1) | {"0 plus 0 is": " 0"})
    result = pytester.runpytest_subprocess(
        "-n2",
        f"--dist={distribution}",
        f"--lightllm-url={server.url}",
        "--lightllm-min=toy:pass@1>=1",
        timeout=300,
    )
    # Not the replacement, which has to collect first.
    assert mark.read_text(encoding="utf-8").split() in (["gw0"], ["gw1"])
    result.stdout.fnmatch_lines(
        ["*100 planned, 100 scored: 100 passed, 0 failed; 0 errors", "gate: PASSES"]
    )
    assert result.ret == 0
    assert len({line["case"]["nodeid"] for line in results()}) == NUM
