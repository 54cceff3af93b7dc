"""Where a policy comes from: the command line names what has to run, ``pyproject.toml`` stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

NUM = 24
STANDING = '[tool.pytest]\nstrict = true\naddopts = ["-p", "no:cacheprovider"]\n'
STANDING += 'filterwarnings = ["error"]\nlightllm_gate = ["inconclusive=pass"]\n'

Answers = Callable[[int, int], dict[str, str]]


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_benchmark_that_the_gate_names_and_that_did_not_run_is_incomplete(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Answers,
    distribution: str,
) -> None:
    toy(NUM)
    server = simulated(answers(NUM, NUM + 1))
    result = pytester.runpytest_subprocess(
        distribution,
        f"--lightllm-url={server.url}",
        "--lightllm-gate=toy: pass@1>=50%; humaneval: pass@1>=1%",
        "--junitxml=report.xml",
        timeout=300,
    )
    assert result.ret == 10
    result.stdout.fnmatch_lines(
        [
            "toy: PASS *",
            "humaneval: INCOMPLETE  not run",
            "*INCOMPLETE complete: the policy names it, and no sample of it was run",
            "gate: INCOMPLETE (exit status 10)",
        ]
    )
    root = ElementTree.fromstring((pytester.path / "report.xml").read_text(encoding="utf-8"))
    cases = {
        case.attrib["name"]: case.find("failure") is not None
        for case in root.iter("testcase")
        if case.attrib["classname"] == "lightllm-gate"
    }
    assert cases == {"toy": False, "humaneval": True}


def run(pytester: pytest.Pytester, server: Any, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        "--tb=no", f"--lightllm-url={server.url}", *args, timeout=300
    )


@pytest.mark.parametrize(
    ("num", "line"),
    [(NUM, "toy: PASS  pass@1 *"), (4, "toy: INCONCLUSIVE (passes by policy)  pass@1 *")],
)
def test_wrong_answers_are_no_failure_where_a_standing_policy_finds_its_baseline(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    answers: Answers,
    num: int,
    line: str,
) -> None:
    toy(num)
    Path(pytester.path / "tox.ini").unlink()
    pytester.makepyprojecttoml(STANDING)
    server = simulated(answers(num, 3), "--model-name", "m")
    # Nothing to compare with: how to judge is no reason for a verdict, and pytest's own stands.
    first = run(pytester, server)
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    assert "gate: " not in first.stdout.str().replace("gate policy: ", "")
    saved = run(pytester, server, "--lightllm-save-baseline=default")
    assert saved.ret == pytest.ExitCode.TESTS_FAILED
    saved.stdout.fnmatch_lines(["baseline saved: *fixtures/baselines/m/toy.json"])
    second = run(pytester, server)
    assert second.ret == 0
    second.stdout.fnmatch_lines([line, "gate: PASS (exit status 0)"])
    assert second.parseoutcomes()["failed"] > 0
    other = run(pytester, simulated(answers(num, 3), "--model-name", "another"))
    assert other.ret == pytest.ExitCode.TESTS_FAILED
    assert "gate: " not in other.stdout.str().replace("gate policy: ", "")
