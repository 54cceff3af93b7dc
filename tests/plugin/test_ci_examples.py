"""The commands of docs/gate.md's CI examples, run as a shell runs them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NUM = 40

PAGE = '''
from lightllm_evals import Sample, benchmark

def tasks():
    for i in range(NUM):
        yield Sample(id=f"HumanEval/{i}", fields={"q": f"task {i} is"})

@benchmark("humaneval", samples=tasks, prompt=lambda s: s["q"], max_new_tokens=8, kinds=["code"])
def test_humaneval(sample, answer):
    """Whether it is done."""
    assert answer == " done"
'''


def example(title: str) -> str:
    """Returns the text of an example: from its title to the next one."""
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    after = text.partition(f"**{title}**")[2]
    return after[: re.search(r"\n\*\*|\n## ", after).start()]  # type: ignore[union-attr]  # there is


def command(title: str) -> str:
    """Returns the pytest command of an example as its shell gets it, on one line."""
    (found,) = re.findall(r"\S*pytest evals/.*(?:\n +--.*)*", example(title))
    line = " ".join(part.strip().removesuffix("\\") for part in found.splitlines())
    # What the CI system fills in, and where it keeps its programs.
    return line.replace("${{ vars.LIGHTLLM_URL }}", "$LIGHTLLM_URL").removeprefix(".venv/bin/")


def completions(wrong: Iterable[int]) -> dict[str, str]:
    left_out = set(wrong)
    return {f"task {i} is": " no" if i in left_out else " done" for i in range(NUM)}


@pytest.fixture
def shell(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command in a project with this HumanEval and a baseline of it."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings = error\n")
    pytester.mkdir("evals").joinpath("test_humaneval.py").write_text(
        PAGE.replace("NUM", str(NUM)), encoding="utf-8"
    )

    def run(line: str, server: Any, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            # Two workers where the page has eight: this machine may be small.
            ["bash", "-ec", line.replace("-n 8", "-n 2")],
            cwd=pytester.path,
            env={**os.environ, "PATH": path, "LIGHTLLM_URL": server.url, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_the_examples_run_the_same_command() -> None:
    lines = [command(title) for title in ("GitHub Actions", "GitLab CI", "Jenkins")]
    first, *others = [shlex.split(line) for line in lines]
    assert others == [first, first]


def test_the_command_passes_when_nothing_changed_and_not_without_a_baseline(
    shell: Callable[..., Any], simulated: Callable[..., Any], pytester: pytest.Pytester
) -> None:
    line = command("GitHub Actions")
    server = simulated(completions(range(8)), "--model-name", "m")
    missing = shell(line, server)
    assert missing.returncode == 10, missing.stdout
    assert "NOT COMPARABLE" in missing.stdout
    saved = (
        "pytest evals/test_humaneval.py -n 8 --lightllm-url=URL --lightllm-save-baseline=default"
    )
    assert saved in (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    # Wrong answers, and nothing yet to compare them with: pytest's own status.
    assert shell(saved.replace("URL", server.url), server).returncode == 1
    # Eight answers are wrong, as they were: no reason for a build to fail.
    done = shell(line, server)
    assert done.returncode == 0, done.stdout
    assert "gate: PASS (exit status 0)" in done.stdout
    assert (pytester.path / "run" / "summary.json").exists()
    report = (pytester.path / "report.xml").read_text(encoding="utf-8")
    assert report.count('classname="lightllm-gate"') == 1


def test_broken_samples_are_on_the_summary_page_of_github(
    shell: Callable[..., Any], simulated: Callable[..., Any], pytester: pytest.Pytester
) -> None:
    saved = "pytest evals/test_humaneval.py -n 2 --lightllm-save-baseline=default"
    saved += ' --lightllm-url="$LIGHTLLM_URL"'
    shell(saved, simulated(completions(range(8)), "--model-name", "m"))
    page = pytester.path / "summary.md"
    line = command("GitHub Actions")
    worse = simulated(completions(range(16)), "--model-name", "m")
    done = shell(line, worse, GITHUB_STEP_SUMMARY=str(page))
    assert done.returncode == 1, done.stdout
    text = page.read_text(encoding="utf-8")
    assert "| humaneval | **REGRESSED** | 80.0% | 60.0% |" in text
    assert "`HumanEval/15`" in text
    # One more than before is 2.5 points, which noise could do: let through with a remark.
    (lenient,) = re.findall(r"`(\|\| \{[^`]*)`", example("GitHub Actions"))
    unsure = simulated(completions(range(9)), "--model-name", "m")
    assert shell(line, unsure).returncode == 11
    done = shell(f"{line} {lenient}", unsure)
    assert done.returncode == 0
    assert "::warning::evals are inconclusive" in done.stdout
    assert shell(f"{line} {lenient}", worse).returncode == 1


def test_shards_go_on_after_wrong_answers_and_are_judged_together(
    shell: Callable[..., Any], simulated: Callable[..., Any]
) -> None:
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    (part,) = re.findall(r"^    (pytest evals/.*--lightllm-shard=3/16.*)$", text, re.MULTILINE)
    (merge,) = re.findall(r"^    (lightllm-evals merge .*)$", text, re.MULTILINE)
    server = simulated(completions(range(8)), "--model-name", "m")
    saved = "pytest evals/test_humaneval.py --lightllm-save-baseline=default"
    shell(f'{saved} --lightllm-url="$LIGHTLLM_URL"', server)
    for i in (1, 2):
        line = part.replace("3/16", f"{i}/2").replace("run-3", f"run-{i}")
        assert shell(line, server).returncode == 0
    done = shell(merge, server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gate: PASS (exit status 0)" in done.stdout
