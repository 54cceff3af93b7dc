"""Workers in another directory, as on another host: nothing is shared but xdist's channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NUM = 24
WRONG_EVERY = 3  # 8 wrong, 16 right


@pytest.mark.parametrize("distribution", ["load", "worksteal"])
def test_workers_elsewhere_judge_and_only_the_controller_writes(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    results: Callable[[], list[dict[str, Any]]],
    distribution: str,
) -> None:
    toy(NUM)
    # What xdist copies to the other host, with the folder that pytest is in.
    suite = pytester.mkdir("suite")
    (pytester.path / "test_toy.py").rename(suite / "test_toy.py")
    (pytester.path / "tox.ini").rename(suite / "tox.ini")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    known = answers(NUM, WRONG_EVERY)
    server = simulated(known)
    result = pytester.runpytest_subprocess(
        str(suite),
        *("--tx", f"2*popen//chdir={elsewhere}", "--dist", distribution),
        *("--rsyncdir", str(suite), "-W", "ignore:The --rsyncdir:DeprecationWarning"),
        f"--lightllm-url={server.url}",
        timeout=300,
    )
    result.assert_outcomes(passed=16, failed=8)
    result.stdout.fnmatch_lines(["*24 planned, 24 scored: 16 passed, 8 failed; 0 errors"])
    lines = results()
    assert len(lines) == NUM
    assert {line["verdict"]["worker"] for line in lines} == {"gw0", "gw1"}
    seen = server.stats()["prompts_seen"]
    assert {prompt: seen[prompt] for prompt in known} == dict.fromkeys(known, 1)
    assert (elsewhere / "suite" / "test_toy.py").exists(), "it was collected there"
    assert not [path for path in elsewhere.rglob("*") if ".lightllm-evals" in path.parts]
