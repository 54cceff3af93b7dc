"""Exams that chat models answer in words: the same pages, by another form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals import datasets
from lightllm_evals.prompts import exam_chats

ROOT = Path(__file__).parents[2]
DATA = ROOT / "fixtures" / "datasets"


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_the_letter_that_is_named_is_judged(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    workers: str,
) -> None:
    answers = {}
    for samples, turns, texts in (
        (datasets.mmlu(), exam_chats.mmlu_turn, ["ANSWER: B", "ANSWER: D", "no idea"]),
        (datasets.ceval(), exam_chats.ceval_turns, ["B", "答案是C", "(C)"]),
        (datasets.cmmlu(), exam_chats.cmmlu_turn, ["答案: A", "C", "答案: B"]),
    ):
        for sample, text in zip(samples, texts, strict=True):
            answers[turns(sample)[-1].content] = text
    server = simulated(answers)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makeconftest(
        "from lightllm_evals.datasets import storage\nstorage.check_sum = lambda *_: None\n"
    )
    for name in "mmlu", "ceval", "cmmlu":
        shutil.copy(ROOT / "evals" / f"test_{name}.py", pytester.path)
    result = pytester.runpytest_subprocess(
        workers,
        f"--lightllm-url={server.url}",
        f"--lightllm-data-dir={DATA}",
        "--lightllm-api=chat",
        timeout=300,
    )
    result.assert_outcomes(passed=5, failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "mmlu (cot), data set of 3 samples",
            "ceval (instruct), data set of 3 samples",
            "cmmlu (cot), data set of 3 samples",
            "*no answer in the form ANSWER: A.*",
        ]
    )
    (path,) = pytester.path.glob(".lightllm-evals/runs/*/summary.json")
    found = {
        each["benchmark"]: each
        for each in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    }
    values = {name: each["metrics"]["acc"]["value"] for name, each in found.items()}
    # MMLU over questions; the others over two subjects, of two questions and of one.
    assert values == pytest.approx({"mmlu": 1 / 3, "ceval": 1, "cmmlu": (1 / 2 + 0) / 2})
    assert {name: each["unextracted"] for name, each in found.items()} == {
        "mmlu": 1,
        "ceval": 0,
        "cmmlu": 1,
    }
