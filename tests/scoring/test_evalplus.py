from __future__ import annotations

import ast
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring import comparison, evalplus


def verdicts(sandbox: Sandbox, sample: Sample, program: str) -> list[bool]:
    texts = [evalplus.base_tests(sample), evalplus.plus_tests(sample)]
    return [
        sandbox.run(program, text, entry_points=[sample["entry_point"]], timeout_s=120).passed
        for text in texts
        if text
    ]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("source", [datasets.humaneval_plus, datasets.mbpp_plus])
def test_reference_solutions_pass_and_garbage_fails(
    source: Callable[[], list[Sample]], sandbox: Sandbox
) -> None:
    for sample in source():
        assert all(verdicts(sandbox, sample, evalplus.reference_solution(sample)))
        wrong = f"def {sample['entry_point']}(*_):\n    return 'wrong'\n"
        assert not any(verdicts(sandbox, sample, wrong))
        assert not any(verdicts(sandbox, sample, "I cannot help."))


@pytest.mark.usefixtures("tiny")
def test_a_program_that_only_knows_the_base_inputs_fails_the_added_ones(sandbox: Sandbox) -> None:
    sample = datasets.humaneval_plus()[0]
    program = "def double(n):\n    return {1: 2, 2: 4}[n]\n"
    assert verdicts(sandbox, sample, program) == [True, False]


def test_an_object_that_equals_everything_does_not_pass(sandbox: Sandbox) -> None:
    sample = Sample(
        id="x",
        fields={
            "entry_point": "f",
            "canonical_solution": "def f(x):\n    return x\n",
            "prompt": "",
            "base_input": [[1], [2]],
            "plus_input": [],
            "atol": 0,
        },
    )
    program = (
        "class A:\n    def __eq__(self, _):\n        return True\ndef f(x):\n    return A()\n"
    )
    assert verdicts(sandbox, sample, program) == [False]
    assert evalplus.plus_tests(sample) is None


@pytest.mark.usefixtures("tiny")
def test_inputs_get_the_types_of_their_tasks() -> None:
    similar = datasets.mbpp_plus()[0]
    assert similar["base_input"] == [[(1, 2), (2, 3)]]
    convert = datasets.evalplus.with_python_inputs
    cases = {
        63: ([[[[1], [2]]]], [[[(1,), (2,)]]]),
        75: ([[[[1]], 2]], [[[(1,)], 2]]),
        106: ([[[1], [2]]], [[[1], (2,)]]),
        115: ([[[[1], []]]], [[[{1}, {}]]]),
        124: ([["1", "2j"]], [[1.0, 2j]]),
        250: ([[[1], 2]], [[(1,), 2]]),
        252: ([["1j"]], [[1j]]),
        259: ([[[[1]], [[2]]]], [[((1,),), ((2,),)]]),
        278: ([[[1, [2]]]], [[(1, (2,))]]),
        580: ([[[1, [2]]]], [((1, (2,)),)]),
        722: ([[{"a": [1]}, 2]], [[{"a": (1,)}, 2]]),
        9: ([[[1]]], [[[1]]]),
    }
    for task, (given_inputs, expected) in cases.items():
        row = {"task_id": f"Mbpp/{task}", "base_input": given_inputs, "plus_input": given_inputs}
        assert convert(row)["plus_input"] == expected, task


def same(name: str, got: object, expected: object, *arguments: object, atol: float = 0) -> bool:
    return comparison.is_same(name, got, expected, list(arguments), atol)


def test_tolerance_is_for_numbers_of_one_type_and_shape() -> None:
    assert same("f", 1.0 + 1e-9, 1.0, atol=1e-6)
    assert not same("f", 1.1, 1.0, atol=1e-6)
    assert not same("f", 1.0 + 1e-9, 1.0)
    assert same("f", [1.0, 2.0 + 1e-9], [1.0, 2.0], atol=1e-6)
    assert not same("f", [1.0], [1.0, 2.0], atol=1e-6)
    assert not same("f", (1.0 + 1e-9,), [1.0], atol=1e-6)
    assert not same("f", "1.0", 1.0, atol=1e-6)
    assert same("f", math.inf, math.inf, atol=1e-6)
    assert not same("f", math.nan, 1.0, atol=1e-6)


def test_special_tasks_have_their_own_rules() -> None:
    assert same("find_zero", -0.5, 7, [1, 2], atol=1e-4)
    assert not same("find_zero", 0.5, -0.5, [1, 2], atol=1e-4)
    assert same("similar_elements", (2, 1), (1, 2))
    assert same("check_str", True, object())
    assert same("check_str", "match", "another")
    assert not same("check_str", None, object())
    assert not same("check_str", "match", None)
    assert same("are_equivalent", False, True)
    assert same("sum_div", 0, 5)
    assert not same("sum_div", 1, 5)
    assert same("surface_Area", 35, 0, 3, 4)
    assert not same("surface_Area", 34, 0, 3, 4)
    assert same("digit_distance_nums", 7, 0, 123, 256)
    assert comparison.digit_distance(5, 123) == 1 + 2 + 2


def test_floats_alone_switch_the_tolerance_on() -> None:
    assert comparison.is_float([1.0, 2.0])
    assert not comparison.is_float([1.0, 2])
    assert not comparison.is_float([])
    comparison.check_outputs(lambda x: x / 3 + 1e-9, "f", "def f(x): return x / 3", [[1.0]], 0)
    with pytest.raises(AssertionError, match=r"f\[2\] returned 3, not 2"):
        comparison.check_outputs(lambda x: x + 1, "f", "def f(x): return x", [[2]], 0)


def test_outputs_too_large_for_a_sandbox_are_passed_over() -> None:
    assert comparison.num_items([1, (2, [3])]) == 6
    reference = f"def f(x): return [0] * {comparison.MAX_ITEMS}"
    comparison.check_outputs(lambda _: None, "f", reference, [[1]], 0)


def test_arguments_that_a_program_changes_do_not_reach_the_reference() -> None:
    reference = "def f(xs):\n    xs.append(1)\n    return len(xs)"

    def program(xs: list[int]) -> int:
        xs.clear()
        return 2

    comparison.check_outputs(program, "f", reference, [[[5]], [[5]]], 0)


SANITIZED = {
    # What goes: calls, unreachable definitions, a broken end.
    "def f():\n    return 1\nprint(f())": "def f():\n    return 1\n",
    "import os\ndef g():\n    0\ndef f():\n    return 1": "import os\n\ndef f():\n    return 1\n",
    "def f():\n    return g()\ndef g():\n    return 1": "def f():\n    return g()\n\n"
    "def g():\n    return 1\n",
    "def f():\n    return 1\n\ndef g(:": "def f():\n    return 1\n",
    "def f():\n    return 1\nHere is why.": "def f():\n    return 1\n",
    "A = 1\nB: int = 2\ndef f():\n    return A": "A = 1\nB: int = 2\n\ndef f():\n    return A\n",
    "class f:\n    pass\nf()": "class f:\n    pass\n",
    # What stays: anything that does not define the entry point.
    "I cannot help.": "I cannot help.",
    "": "",
    "x = 1": "x = 1",
}


@pytest.mark.parametrize("code", SANITIZED)
def test_only_what_the_entry_point_needs_is_kept(code: str) -> None:
    assert evalplus.sanitized(code, "f") == SANITIZED[code]


def instruct(text: str) -> str:
    return evalplus.instruct_program(Sample(id="x", fields={"entry_point": "f"}), text)


F = "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{F}```",
        f"```\n{F}```",
        f"```py\n{F}```",
        f"```Python3\n{F}```",
        f"Sure!\n\n```python\n{F}```\nIt is simple.",
        f"```python\nprint('no')\n```\n```python\n{F}```",
        f"```python\n{F}```\n```python\nassert f(1) == 1\n```",
        f"```python\n{F}\nassert f(1) == 1\n```",
        f"```python\n{F}\nif __name__ == '__main__':\n    print(f(1))\n```",
        f"```python\n{F}\nprint(f(1))",
        f"```python\n{F}",
        F,
        f"\n\n{F}",
        f"{F}\nThis returns x.",
        f"{F}\n\n# done",
        f"```bash\npip install x\n```\n```python\n{F}```",
        f"~~~\n```python\n{F}```\n~~~",
        f"```python\n\n\n{F}\n\n```",
        f"```python\n# a comment\n{F}```",
        f"```python\n{F}def g(:\n```",
    ],
)
def test_the_function_is_taken_out_of_tricky_answers(text: str) -> None:
    assert instruct(text) == F


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    instruct(text)
    evalplus.sanitized(f"def f():\n    {text}", "f")


@given(st.sampled_from(["(", "[", "-", "lambda:", "not ", "f(", "\\", "\0", "1**"]))
def test_extraction_survives_deep_nesting(piece: str) -> None:
    evalplus.sanitized(f"def f():\n    return {piece * 5000}1", "f")


@pytest.mark.usefixtures("shared")
def test_the_real_sets_have_the_published_sizes_and_parse() -> None:
    for source, size in ((datasets.humaneval_plus, 164), (datasets.mbpp_plus, 378)):
        samples = source()
        assert len(samples) == size
        for sample in samples[::9]:
            ast.parse(evalplus.base_tests(sample) or "")
            solution = evalplus.reference_solution(sample)
            assert "def " in evalplus.sanitized(solution, sample["entry_point"])


@pytest.mark.usefixtures("shared")
def test_real_reference_solutions_pass(sandbox: Sandbox) -> None:
    # All of them: benchmarks/reference_solutions.py. 32 has a rule of its own.
    quick = [*datasets.humaneval_plus()[20:33:6], *datasets.mbpp_plus()[5:100:40]]
    for sample in quick:
        assert all(verdicts(sandbox, sample, evalplus.reference_solution(sample))), sample.id
