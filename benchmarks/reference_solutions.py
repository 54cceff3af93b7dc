"""Runs every reference solution of the code benchmarks against its own tests, in the sandbox.

    LIGHTLLM_EVALS_DATA=... python benchmarks/reference_solutions.py

Takes some minutes: a few of HumanEval+'s and MBPP+'s solutions are slow on their own inputs.
Prints each that does not pass, and ends with status 1 if one is not a documented exception.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring import evalplus, mbpp

# Its asserts use names that only the set-up code defines, which the reference form leaves out.
KNOWN = {"mbpp/367"}


def checks() -> Iterator[tuple[str, str, str, list[str]]]:
    """Yields name, program, tests and entry points."""
    for name, source in (("mbpp", datasets.mbpp), ("mbpp_sanitized", datasets.mbpp_sanitized)):
        for sample in source():
            tests, names = mbpp.unit_tests(sample), mbpp.entry_points(sample)
            yield f"{name}/{sample.id}", sample["code"], tests, names
    for source in (datasets.humaneval_plus, datasets.mbpp_plus):
        for sample in source():
            yield from evalplus_checks(sample)


def evalplus_checks(sample: Sample) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yields the checks of one problem, after the clean-up that completions get."""
    name = sample["entry_point"]
    program = evalplus.sanitized(evalplus.reference_solution(sample), name)
    for tests in (evalplus.base_tests(sample), evalplus.plus_tests(sample)):
        if tests:
            yield f"{sample.id}+", program, tests, [name]


def main() -> int:
    """Runs all checks; returns the exit status."""
    start, count, unknown = time.perf_counter(), 0, 0
    with Sandbox() as sandbox:
        for name, program, tests, names in checks():
            verdict = sandbox.run(program, tests, entry_points=names, timeout_s=120)
            count += 1
            if not verdict.passed:
                unknown += name not in KNOWN
                print(name, "known" if name in KNOWN else "NEW", verdict, flush=True)
    print(f"{count} checks, {unknown} undocumented failures, {time.perf_counter() - start:.0f} s")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
