"""The score is exactly what the server's answers are worth, however the run is distributed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NUM = 24
WRONG_EVERY = 3  # 8 wrong, 16 right

DISTRIBUTIONS = [
    "-n0",
    "-n2",
    "-n8",
    "-n2 --dist=worksteal",
    "-n2 --dist=loadscope",
    "-n2 --dist=loadfile",
    "-n2 --dist=loadgroup",
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_score_is_known_value_and_each_sample_is_asked_once(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    results: Callable[[], list[dict[str, Any]]],
    distribution: str,
) -> None:
    toy(NUM)
    known = answers(NUM, WRONG_EVERY)
    server = simulated(known)
    result = pytester.runpytest_subprocess(
        *distribution.split(), f"--lightllm-url={server.url}", timeout=300
    )
    result.assert_outcomes(passed=16, failed=8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*24 planned, 24 scored: 16 passed, 8 failed; 0 errors", "*pass@1 *66.67 %*"]
    )
    seen = server.stats()["prompts_seen"]
    assert {prompt: seen[prompt] for prompt in known} == dict.fromkeys(known, 1)
    assert len(results()) == NUM


def test_each_distribution_scores_each_sample_once(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    results: Callable[[], list[dict[str, Any]]],
) -> None:
    toy(6)
    server = simulated(answers(6, WRONG_EVERY))
    result = pytester.runpytest_subprocess(
        "-n2", "--dist=each", f"--lightllm-url={server.url}", timeout=300
    )
    result.stdout.fnmatch_lines(["*6 planned, 6 scored: 4 passed, 2 failed; 0 errors"])
    assert len(results()) == 6


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_faults_never_become_wrong_answers(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Callable[[int, int], dict[str, str]],
    distribution: str,
) -> None:
    toy(NUM)
    server = simulated(answers(NUM, WRONG_EVERY), "--fault", "503=0.1", "--fault", "cut=0.05")
    result = pytester.runpytest_subprocess(
        distribution, f"--lightllm-url={server.url}", "--lightllm-retries=8", timeout=300
    )
    result.assert_outcomes(passed=16, failed=8)
    result.stdout.fnmatch_lines(["*pass@1 *66.67 %*"])
