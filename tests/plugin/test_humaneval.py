"""The judge itself: right programs are right in every form, and garbage is wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightllm_evals.benchmark import Benchmark, Variant, declared_benchmark
from lightllm_evals.records import Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring.humaneval import unit_tests

PAGE = Path(__file__).parents[2] / "evals" / "test_humaneval.py"
# Garbage that runs long would cost three seconds a sample here and prove nothing more.
GARBAGE = {
    "reference": "    return 'I do not know'\n",
    "bigcode": "\n    return 'I do not know'\n",
    "opencompass": "    return 'I do not know'\n",
    "instruct": "I do not know.",
}


@pytest.fixture(scope="module")
def humaneval() -> Benchmark:
    """The benchmark as its page declares it, forms and all."""
    spec = importlib.util.spec_from_file_location("humaneval_page", PAGE)
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    found = declared_benchmark(page.test_humaneval)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def num_passed(
    humaneval: Benchmark,
) -> Iterator[Callable[[Variant, Callable[[Sample], str]], int]]:
    """Judges what a form makes of a completion of every problem, as the page does."""
    samples = list(humaneval.samples())
    assert len(samples) == 164
    with Sandbox() as sandbox, ThreadPoolExecutor(2) as pool:

        def count(form: Variant, complete: Callable[[Sample], str]) -> int:
            def is_right(sample: Sample) -> bool:
                verdict = sandbox.run(
                    form.answer(sample, complete(sample)),
                    unit_tests(sample),
                    entry_points=[sample["entry_point"]],
                    prelude=sample["prompt"],
                    # On a busy machine, the deadline must not decide about a right program.
                    timeout_s=60.0,
                )
                return verdict.passed

            return sum(pool.map(is_right, samples))

        yield count


def raw_body(sample: Sample) -> str:
    return str(sample["canonical_solution"])


def body_and_more(sample: Sample) -> str:
    # What a model goes on with, where the server does not cut at the stop text.
    return f"{raw_body(sample)}\n"


def after_stripped_prompt(sample: Sample) -> str:
    # The bigcode form's prompt has lost the line break that the body begins after.
    return f"\n{raw_body(sample)}"


def fenced_function(sample: Sample) -> str:
    function = f"{sample['prompt']}{sample['canonical_solution']}"
    return f"Here is the function:\n\n```python\n{function}```\n\nIt passes the tests."


@pytest.mark.parametrize(
    ("form", "complete"),
    [
        ("reference", raw_body),
        ("reference", body_and_more),
        ("bigcode", after_stripped_prompt),
        ("opencompass", raw_body),
        ("opencompass", fenced_function),
        ("instruct", fenced_function),
    ],
)
def test_all_canonical_solutions_pass(
    humaneval: Benchmark,
    num_passed: Callable[[Variant, Callable[[Sample], str]], int],
    form: str,
    complete: Callable[[Sample], str],
) -> None:
    assert num_passed(_form(humaneval, form), complete) == 164


@pytest.mark.parametrize("form", GARBAGE)
def test_garbage_scores_nothing(
    humaneval: Benchmark,
    num_passed: Callable[[Variant, Callable[[Sample], str]], int],
    form: str,
) -> None:
    assert num_passed(_form(humaneval, form), lambda sample: GARBAGE[form]) == 0
    assert num_passed(_form(humaneval, form), lambda sample: "") == 0


def _form(humaneval: Benchmark, name: str) -> Variant:
    form = humaneval.variants[name]
    assert isinstance(form, Variant)
    return form
