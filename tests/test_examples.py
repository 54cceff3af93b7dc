"""The pages in ``examples/`` run in a project of their own, with exactly known scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

CAPITALS = {
    "Q: What is the capital of France?\nA:": " Paris\nQ: What is the capital of Peru?",
    "Q: What is the capital of Italy?\nA:": " Rome",
    "Q: What is the capital of Japan?\nA:": " Kyoto",
    "Q: What is the capital of Nepal?\nA:": " Kathmandu, in the",
    "Q: What is the capital of Kenya?\nA:": " Mombasa\nNairobi",
}
WRONG = ["Japan", "Kenya", "Peru"]  # the last is unknown to the server

HEADERS = {
    "double": 'def double(x):\n    """Return twice x."""\n',
    "is_even": 'def is_even(x):\n    """Return whether x is even."""\n',
    "digits": 'def digits(x):\n    """Return the digits of x as a list."""\n',
}
BODIES = {
    "double": "    return 2 * x\n",
    "is_even": "    return x % 2 == 0\n",
    "digits": "    return list(x)\n",
}  # the last one is wrong


@pytest.fixture
def own_repository(pytester: pytest.Pytester) -> Path:
    """A copy of the examples, with nothing of this checkout around it."""
    shutil.copytree(EXAMPLES, pytester.path, dirs_exist_ok=True)
    return pytester.path


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, timeout=300)


def summary(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob(".lightllm-evals/runs/*/summary.json")
    (found,) = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("own_repository")
def test_capitals_page_scores_three_of_six(
    pytester: pytest.Pytester, simulated: Callable[..., Any]
) -> None:
    server = simulated(CAPITALS)
    result = run(pytester, "test_capitals.py", f"--lightllm-url={server.url}")
    result.assert_outcomes(passed=3, failed=3)
    failed = [line for line in result.outlines if line.startswith("FAILED")]
    assert [line.partition("[")[2].partition("]")[0] for line in failed] == WRONG
    result.stdout.fnmatch_lines(["*pass@1 *50.00 %*"])


def test_capitals_node_ids_are_the_samples_own(
    pytester: pytest.Pytester, own_repository: Path
) -> None:
    result = run(pytester, "test_capitals.py", "--collect-only", "-q")
    ids = [line for line in result.outlines if "::" in line]
    lines = (own_repository / "capitals.jsonl").read_text(encoding="utf-8").splitlines()
    countries = [json.loads(line)["country"] for line in lines]
    assert ids == [f"test_capitals.py::test_capitals[{country}]" for country in countries]


def test_functions_page_judges_raw_completions_in_the_sandbox(
    pytester: pytest.Pytester, own_repository: Path, simulated: Callable[..., Any]
) -> None:
    server = simulated({HEADERS[name]: body for name, body in BODIES.items()})
    result = run(pytester, "test_functions.py", f"--lightllm-url={server.url}")
    result.assert_outcomes(passed=2, failed=1)
    found = summary(own_repository)
    assert (found["variant"], found["passed"], found["failed"]) == ("raw", 2, 1)
    assert found["metrics"]["has_docstring"]["value"] == 1.0


def test_functions_page_has_a_chat_form(
    pytester: pytest.Pytester, own_repository: Path, simulated: Callable[..., Any]
) -> None:
    answers = {
        f"Complete this function:\n\n{HEADERS[name]}": (
            f"Here it is:\n```python\ndef {name}(x):\n{body}```\nAnything else?"
        )
        for name, body in BODIES.items()
    }
    server = simulated(answers)
    result = run(
        pytester, "test_functions.py", f"--lightllm-url={server.url}", "--lightllm-api=chat"
    )
    result.assert_outcomes(passed=2, failed=1)
    found = summary(own_repository)
    assert (found["variant"], found["passed"], found["failed"]) == ("chat", 2, 1)
    assert found["metrics"]["has_docstring"]["value"] == 0.0
