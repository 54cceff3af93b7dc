"""The main job on real input: HumanEval on the embedded server with its real model."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUM = 4
# A loaded machine with two cores may need minutes to load the model and generate.
DEADLINE_S = 900


def test_humaneval_runs_on_the_embedded_model(tmp_path: Path) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed (the extra cpu)")
    run, junit = tmp_path / "run", tmp_path / "junit.xml"
    command = [
        *(sys.executable, "-m", "pytest", "evals/test_humaneval.py", "-n2"),
        *("-p", "no:cacheprovider", f"--junitxml={junit}", f"--lightllm-run-dir={run}"),
        *(f"--lightllm-limit={NUM}", "--lightllm-param=max_new_tokens=128"),
    ]
    # The checkout's own options, not those of the pytest that runs this test.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )
    if "Cannot fetch the embedded model" in done.stdout + done.stderr:
        pytest.skip("the embedded model cannot be fetched here")
    # Indented, so that nobody takes the model's failures for failures of this suite.
    shown = "\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines())
    assert (run / "summary.json").exists(), shown
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    (found,) = summary["benchmarks"]
    assert (found["planned"], found["scored"], found["errors"]) == (NUM, NUM, 0), shown
    assert (found["variant"], found["samples_total"]) == ("bigcode", 164)
    assert found["output_tokens"] > NUM
    assert summary["sandbox"]["level"] >= 2
    # A wrong answer is a failure, and nothing else is.
    assert done.returncode == int(found["failed"] > 0), shown
    assert junit.read_text(encoding="utf-8").count("<testcase ") == NUM
