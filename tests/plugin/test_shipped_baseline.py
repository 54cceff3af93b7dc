"""The baseline that the README's first command is compared with fits today's page and profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
(BASELINE,) = (ROOT / "fixtures" / "baselines").glob("SmolLM2-*/humaneval.json")


def test_a_first_run_is_compared_with_it(
    pytester: pytest.Pytester, simulated: Callable[..., Any]
) -> None:
    server = simulated({}, "--model-name", BASELINE.parent.name)
    result = pytester.runpytest_subprocess(
        "--rootdir",
        ROOT,
        ROOT / "evals" / "test_humaneval.py",
        f"--lightllm-url={server.url}",
        "--lightllm-profile=embedded",
        f"--lightllm-run-dir={pytester.path / 'run'}",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        timeout=300,
    )
    result.assert_outcomes(failed=32)
    # All wrong, where four were right: too few to be sure.
    result.stdout.fnmatch_lines(["humaneval: INCONCLUSIVE*", "  4 broken, 0 fixed of 32 samples"])
    result.stdout.no_fnmatch_line("*no baseline of*")
