from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring import mbpp

CODE = "def f(x):\n    return x"
SAMPLE = Sample(
    id="12",
    fields={"test_imports": [], "test_list": ["assert f(1) == 1"], "code": "def f(x): return x"},
)

OPENCOMPASS_ANSWERS = {
    f"[BEGIN]\n '{CODE}'\n[DONE]\n\nYou are": CODE,
    f"[BEGIN]\n{CODE}\n[DONE]": CODE,
    f"BEGIN\n'{CODE}'\nDONE": CODE,
    f"BEGIN '{CODE}' [DONE]": CODE,
    f"[BEGIN] '{CODE}' DONE": CODE,
    f"[BEGIN]\n '{CODE}\n[DONE]": CODE,
    f"BEGIN {CODE} DONE": CODE,
    f"[BEGIN]\n '{CODE}": CODE,
    f"[BEGIN]{CODE}": CODE,
    f"'{CODE}'\n[DONE]": CODE,
    f"```python\n{CODE}\n```": CODE,
    f"Sure:\n```python\n{CODE}\n```\nIt returns x.": CODE,
    f"```\n{CODE}\n```": CODE,
    f"```python\n{CODE}": CODE,
    f"Look:\n```\n{CODE}": CODE,
    f"{CODE}\n```\nprose": "prose",
    CODE: CODE,
    f"{CODE}\n[DONE]\n[BEGIN]\nx": "x",
    f"{CODE}\n'\nDONE\nmore": CODE,
    f"  {CODE}  ": CODE,
    "def f\\_x():\n    pass": "def f_x():\n    pass",
    f"[BEGIN]\n'{CODE}'\n[DONE]\n[BEGIN]\n'y'\n[DONE]": CODE,
    f"```python\n{CODE}\n```\n```python\nf(1)\n```": CODE,
    f"[BEGIN]\n```python\n{CODE}\n```\n[DONE]": "",
    "": "",
    "[BEGIN]": "",
    "[DONE]": "",
    "''": "''",
    "```": "",
    "I cannot help.": "I cannot help.",
}


@pytest.mark.parametrize("text", OPENCOMPASS_ANSWERS)
def test_opencompass_takes_the_code_out_of_tricky_answers(text: str) -> None:
    assert mbpp.opencompass_program(SAMPLE, text) == f"{OPENCOMPASS_ANSWERS[text]}\n".lstrip("\n")


def test_there_are_thirty_tricky_answers() -> None:
    assert len(OPENCOMPASS_ANSWERS) == 30


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    assert mbpp.opencompass_program(SAMPLE, text).endswith(("\n", ""))
    assert mbpp.instruct_program(SAMPLE, text).endswith(("\n", ""))
    assert mbpp.reference_program(SAMPLE, text) == f"{text}\n"


@given(st.sampled_from([" ", "\n", "'", "```", "[BEGIN]", "DONE", "a"]), st.integers(1, 3000))
def test_extraction_ends_on_repetitions(piece: str, times: int) -> None:
    mbpp.opencompass_program(SAMPLE, piece * times)


def test_an_instruct_answer_is_its_first_block() -> None:
    text = f"Here:\n```python\n{CODE}\n```\nand\n```\nother\n```"
    assert mbpp.instruct_program(SAMPLE, text) == f"{CODE}\n"


@pytest.mark.usefixtures("tiny")
def test_reference_solutions_pass_garbage_fails_and_a_mixed_set_is_half(sandbox: Sandbox) -> None:
    def score(programs: list[str]) -> float:
        passed = [
            sandbox.run(
                mbpp.reference_program(sample, program),
                mbpp.unit_tests(sample),
                entry_points=mbpp.entry_points(sample),
                timeout_s=60,
            ).passed
            for sample, program in zip(samples, programs, strict=True)
        ]
        return sum(passed) / len(passed)

    for source in datasets.mbpp, datasets.mbpp_sanitized:
        samples = source()
        solutions = [sample["code"] for sample in samples]
        assert len(samples) == 3
        assert score(solutions) == 1
        assert score(["I cannot help."] * 3) == 0
        assert score([solutions[0], "", solutions[2]]) == 2 / 3


@pytest.mark.usefixtures("tiny")
def test_entry_points_are_what_asserts_take_from_the_solution() -> None:
    assert [mbpp.entry_points(sample) for sample in datasets.mbpp()] == [
        ["reverse"],
        ["vowels", "is_vowel"],
        ["longest"],
    ]


@pytest.mark.usefixtures("shared")
def test_the_real_splits_have_the_published_sizes() -> None:
    samples, sanitized = datasets.mbpp(), datasets.mbpp_sanitized()
    assert (len(samples), len(sanitized)) == (500, 257)
    assert [shot["task_id"] for shot in samples[0]["shots"]] == [2, 3, 4]
    assert all(mbpp.entry_points(sample) for sample in samples + sanitized)


@pytest.mark.usefixtures("shared")
def test_real_reference_solutions_pass(sandbox: Sandbox) -> None:
    # All of them: benchmarks/reference_solutions.py.
    for sample in datasets.mbpp()[::25] + datasets.mbpp_sanitized()[::25]:
        verdict = sandbox.run(
            sample["code"],
            mbpp.unit_tests(sample),
            entry_points=mbpp.entry_points(sample),
            timeout_s=60,
        )
        assert verdict.passed, f"{sample.id}: {verdict}"
