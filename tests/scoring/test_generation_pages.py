"""The pages whose models answer in words, on the tiny data sets: from completion to metrics."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lightllm_evals.benchmark import Variant, declared_benchmark
from lightllm_evals.cases import Case
from lightllm_evals.records import Completion, Sample
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.scoring import ExtractionError, evalplus

EVALS = Path(__file__).parents[2] / "evals"

NO_ANSWER = "I do not know."

Text = Callable[[Sample], str]
Metrics = dict[str, float | tuple[float, float]]


class Judged(NamedTuple):
    """What a page says of one sample: "passed", "wrong" or "no answer"."""

    outcome: str
    metrics: Metrics


class Form(NamedTuple):
    """One form of a benchmark, and completions of its tiny data set.

    Attributes:
        page: Name of the page without ``.py``.
        benchmark: The benchmark's name.
        form: The form's name.
        perfect: Makes a right completion.
        metrics: What a right completion records beside passing.
        garbage: What becomes of a completion that is no answer, by sample.
        mixed: Completions that are right, wrong and nearly right.
        judged: What becomes of those.
    """

    page: str
    benchmark: str
    form: str
    perfect: Text
    metrics: Metrics
    garbage: str
    mixed: Sequence[str]
    judged: Sequence[Judged]


def passed(**metrics: float | tuple[float, float]) -> Judged:
    return Judged("passed", metrics)


def wrong(**metrics: float | tuple[float, float]) -> Judged:
    return Judged("wrong", metrics)


def none(**metrics: float | tuple[float, float]) -> Judged:
    return Judged("no answer", metrics)


def number(sample: Sample) -> str:
    return str(sample["answer"]).rsplit("#### ", maxsplit=1)[-1]


def fenced(code: str) -> str:
    return f"Here it is:\n\n```python\n{code}\n```\nThat is all."


def defined(name: str) -> str:
    return f"def {name}(*arguments):\n    return 'wrong'\n"


GSM8K = [
    Form(
        "test_gsm8k", "gsm8k", "reference",
        lambda s: s["answer"], {"strict": 1, "flexible": 1}, "no answer",
        ["#### 84\nor 85", "It is 1250.", "#### -6", ""],
        [passed(strict=1, flexible=0), none(strict=0, flexible=1),
         wrong(strict=0, flexible=0), none(strict=0, flexible=0)],
    ),
    Form(
        "test_gsm8k", "gsm8k", "instruct",
        lambda s: s["answer"], {"strict": 1, "flexible": 1}, "no answer",
        ["#### 84\nor 85", "It is 1250.", "#### -6", ""],
        [wrong(strict=1, flexible=0), passed(strict=0, flexible=1),
         wrong(strict=0, flexible=0), none(strict=0, flexible=0)],
    ),
    Form(
        "test_gsm8k", "gsm8k", "cot",
        lambda s: f"The answer is {number(s)}.", {"strict": 1, "flexible": 1}, "no answer",
        ["The answer is 84. Not 85", "#### 1250", "The answer is -6.", ""],
        [passed(strict=1, flexible=0), none(strict=0, flexible=1),
         wrong(strict=0, flexible=0), none(strict=0, flexible=0)],
    ),
    Form(
        "test_gsm8k", "gsm8k", "opencompass",
        lambda s: f"The answer is {number(s).replace(',', '')}",
        {"strict": 0, "flexible": 1}, "no answer",
        ["84.0", "1,250", "-5\nQuestion: 6?", ""],
        [passed(strict=0, flexible=0), wrong(strict=0, flexible=1),
         passed(strict=0, flexible=0), none(strict=0, flexible=0)],
    ),
]  # fmt: skip

BBH = [
    Form(
        "test_bbh", "bbh", "opencompass",
        lambda s: f"So the answer is {s['target']}.", {}, "wrong",
        ["the answer is True", "the answer is True", "the answer is b", "", "fig pear apple"],
        [passed(), wrong(), none(), none(), wrong()],
    ),
    Form(
        "test_bbh", "bbh", "reference",
        lambda s: f"So the answer is {s['target']}.", {}, "no answer",
        ["the answer is True.", "The answer is False.", "the answer is A.", "",
         "the answer is apple fig pear."],
        [passed(), none(), wrong(), none(), passed()],
    ),
]  # fmt: skip

DROP = [
    Form(
        "test_drop", "drop", form,
        lambda s: f" {s['answers'][0][0]}", {"f1": 1, "exact_match": 1}, "wrong",
        mixed,
        [passed(f1=1, exact_match=1), wrong(f1=0, exact_match=0),
         wrong(f1=0.5, exact_match=0), none(f1=0, exact_match=0)],
    )
    for form, mixed in (
        ("three_shot", ["24\nor 25", "Blues", "Anna Berg", " "]),
        ("reference", ["24", "Blues", "Anna Berg", " "]),
    )
]  # fmt: skip

MATH = [
    Form(
        "test_math500", "math500", "minerva",
        lambda s: f"Final Answer: The final answer is ${s['answer']}$. I hope it is correct.",
        {"exact_match": 1}, "no answer",
        ["\\boxed{2}", "$0.5$", "Final Answer: The final answer is $(0,1)$. I hope it is correct.",
         ""],
        [passed(exact_match=0), passed(exact_match=0), wrong(exact_match=0), none(exact_match=0)],
    ),
    Form(
        "test_math500", "math500", "boxed",
        lambda s: f"So it is $\\boxed{{{s['answer']}}}$.", {"exact_match": 1}, "no answer",
        ["\\boxed{2}", "$0.5$", "\\boxed{(0,1)}", ""],
        [passed(exact_match=1), passed(exact_match=0), wrong(exact_match=0), none(exact_match=0)],
    ),
]  # fmt: skip

FOLLOWED = ["Rain falls.", "the tea is good and warm today.", "* tea\n* more tea"]
IFEVAL = [
    Form(
        "test_ifeval", "ifeval", form,
        lambda s: FOLLOWED[s["key"] - 1], {"prompt_loose": 1}, "",
        ["Sure, here:\nRain falls.", "THE TEA IS GOOD AND WARM TODAY.", ""],
        [wrong(prompt_loose=1, instruction_strict=0, instruction_loose=1),
         wrong(prompt_loose=0, instruction_strict=(1, 2), instruction_loose=(1, 2)),
         none(prompt_loose=0, instruction_strict=(0, 2), instruction_loose=(0, 2))],
    )
    for form in ("raw", "chat")
]  # fmt: skip

MBPP = [
    Form(
        "test_mbpp", "mbpp", "reference", lambda s: s["code"], {}, "wrong",
        ["def reverse(text):\n    return text[::-1]", defined("vowels"), ""],
        [passed(), wrong(), wrong()],
    ),
    Form(
        "test_mbpp", "mbpp", "instruct", lambda s: fenced(s["code"]), {}, "no answer",
        ["def reverse(text):\n    return text[::-1]", fenced(defined("vowels")), ""],
        [passed(), wrong(), none()],
    ),
    Form(
        "test_mbpp", "mbpp_sanitized", "opencompass",
        lambda s: f"[BEGIN]\n '{s['code']}'\n[DONE]", {}, "wrong", [], [],
    ),
]  # fmt: skip

DOUBLE_OF_BASE = "def double(n):\n    return {1: 2, 2: 4}[n]\n"
EVALPLUS = [
    Form(
        "test_evalplus", "humaneval_plus", "evalplus",
        lambda s: s["canonical_solution"], {"base": 1}, "wrong",
        ["    return {1: 2, 2: 4}[n]\n", "    return 0\n"],
        [wrong(base=1), wrong(base=0)],
    ),
    Form(
        "test_evalplus", "humaneval_plus", "instruct",
        lambda s: fenced(evalplus.reference_solution(s)), {"base": 1}, "no answer",
        [fenced(DOUBLE_OF_BASE), fenced(defined("mean"))],
        [wrong(base=1), wrong(base=0)],
    ),
    Form(
        "test_evalplus", "mbpp_plus", "evalplus",
        lambda s: s["canonical_solution"], {"base": 1}, "wrong",
        [defined("similar_elements"), "\ndef shifts(n):\n  return 2\n",
         "\ndef last(items):\n  return items[-1]\n"],
        [wrong(base=0), wrong(base=1), passed(base=1)],
    ),
    Form(
        "test_evalplus", "mbpp_plus", "instruct",
        lambda s: fenced(s["canonical_solution"]), {"base": 1}, "no answer",
        [NO_ANSWER, fenced("def shifts(n):\n  return 2"), fenced("def last(i): return i[-1]")],
        [none(base=0), wrong(base=1), passed(base=1)],
    ),
]  # fmt: skip

FORMS = [*GSM8K, *BBH, *DROP, *MATH, *IFEVAL, *MBPP, *EVALPLUS]
NEEDS = {"math500": ["math_verify"], "ifeval": ["langdetect", "punkt"]}
IDS = [f"{form.benchmark}-{form.form}" for form in FORMS]


class Judge:
    """A form as its page declares it."""

    def __init__(self, form: Form, sandbox: Sandbox) -> None:
        for extra in NEEDS.get(form.benchmark, []):
            pytest.importorskip(extra)
        self._function: Callable[..., None] = getattr(module(form.page), f"test_{form.benchmark}")
        benchmark = declared_benchmark(self._function)
        assert benchmark is not None
        self._sandbox = sandbox
        self.cases = [
            Case(benchmark=benchmark, variant_name=form.form, sample=s, repeat=0, id=s.id)
            for s in benchmark.samples()
        ]

    def judge(self, case: Case, text: str) -> Judged:
        metrics: Metrics = {}

        def record(name: str, value: float, weight: float = 1.0) -> None:
            metrics[name] = float(value) if weight == 1 else (float(value), float(weight))

        fixtures: dict[str, Any] = {
            "sample": case.sample,
            "completion": Completion(
                text=text, finish_reason="stop", prompt_tokens=1, output_tokens=1, latency_s=0.1
            ),
            "answer": case.answer(text),
            "form": case.variant,
            "sandbox": self._sandbox,
            "record_metric": record,
        }
        names = inspect.signature(self._function).parameters
        try:
            self._function(**{name: fixtures[name] for name in names})
        except ExtractionError:
            return Judged("no answer", metrics)
        except AssertionError:
            return Judged("wrong", metrics)
        return Judged("passed", metrics)


def module(page: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"page_{page}", EVALS / f"{page}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_form_that_generates_is_here() -> None:
    declared = set()
    for path in EVALS.glob("test_*.py"):
        for function in vars(module(path.stem)).values():
            if benchmark := declared_benchmark(function):
                forms = benchmark.variants.items()
                declared |= {(benchmark.name, n) for n, v in forms if isinstance(v, Variant)}
    # Run as they are by tests/plugin: test_humaneval.py and test_chat_exams.py; test_lambada.py.
    elsewhere = {name for name, _ in declared if name in {"humaneval", "mmlu", "ceval", "cmmlu"}}
    left = {pair for pair in declared if pair[0] not in elsewhere | {"lambada"}}
    assert left == {(form.benchmark, form.form) for form in FORMS}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_perfect_completions_pass(form: Form, sandbox: Sandbox) -> None:
    judge = Judge(form, sandbox)
    for case in judge.cases:
        if form.benchmark == "drop" and len(case.sample["answers"][0]) > 1:
            # Two spans: a text is one.
            continue
        found = judge.judge(case, form.perfect(case.sample))
        assert found.outcome == "passed", case.id
        assert found.metrics.items() >= form.metrics.items()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_garbage_does_not(form: Form, sandbox: Sandbox) -> None:
    judge = Judge(form, sandbox)
    found = [judge.judge(case, NO_ANSWER) for case in judge.cases]
    if form.benchmark == "ifeval":
        # Three words without a comma: all that the first prompt asks for.
        assert [each.outcome for each in found] == ["passed", "wrong", "wrong"]
        return
    assert {each.outcome for each in found} == {form.garbage}
    values = [value for each in found for value in each.metrics.values()]
    assert set(values) <= {0.0}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_mixed_completions_have_known_figures(form: Form, sandbox: Sandbox) -> None:
    judge = Judge(form, sandbox)
    if form.benchmark == "mbpp_sanitized":
        texts = [form.perfect(judge.cases[0].sample), *["no"] * (len(judge.cases) - 1)]
        expected = [passed(), *[wrong()] * (len(judge.cases) - 1)]
    else:
        texts, expected = list(form.mixed), list(form.judged)
    pairs = zip(judge.cases, texts, strict=True)
    assert [judge.judge(case, text) for case, text in pairs] == expected
