"""The pages that score given texts, with made-up log-probabilities on the tiny data sets."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lightllm_evals.benchmark import LikelihoodVariant, declared_benchmark
from lightllm_evals.cases import Case
from lightllm_evals.records import SCORED, Completion, Likelihood

EVALS = Path(__file__).parents[2] / "evals"

# Page, benchmark, and which choices of the tiny data set are right, read off the files by hand.
RIGHT: list[tuple[str, str, list[int]]] = [
    ("test_arc", "arc_challenge", [0, 1]),
    ("test_arc", "arc_easy", [0, 0]),
    ("test_boolq", "boolq", [1, 0]),
    ("test_ceval", "ceval", [1, 2, 2]),
    ("test_cmmlu", "cmmlu", [0, 2, 2]),
    ("test_commonsenseqa", "commonsenseqa", [1, 0]),
    ("test_hellaswag", "hellaswag", [0, 0]),
    ("test_mmlu", "mmlu", [1, 0, 2]),
    ("test_openbookqa", "openbookqa", [0, 2]),
    ("test_piqa", "piqa", [0, 1]),
    ("test_winogrande", "winogrande", [1, 1]),
]


class Judged(NamedTuple):
    """What a page says of one sample; metrics are values and weights."""

    passed: bool
    metrics: dict[str, tuple[float, float]]


class Judge:
    """One form of a benchmark as its page declares it."""

    def __init__(self, page: str, name: str, form: str = "") -> None:
        self._function: Callable[..., None] = getattr(_module(page), f"test_{name}")
        benchmark = declared_benchmark(self._function)
        assert benchmark is not None
        self.name = form or benchmark.default_variant
        self.samples = list(benchmark.samples())
        self._cases = [
            Case(benchmark=benchmark, variant_name=self.name, sample=s, repeat=0, id=s.id)
            for s in self.samples
        ]
        self.metric = self._cases[0].metric

    def texts(self, index: int) -> list[str]:
        """Returns what the choices of a sample are normalised by."""
        return [choice.text for choice in self._cases[index].choices]

    def judge(self, index: int, likelihoods: Sequence[Likelihood]) -> Judged:
        """Returns what the page's function says of a sample."""
        case = self._cases[index]
        metrics: dict[str, tuple[float, float]] = {}

        def record(name: str, value: float, weight: float = 1.0) -> None:
            metrics[name] = (value, weight)

        fixtures: dict[str, Any] = {
            "sample": case.sample,
            "choices": case.choices,
            "likelihoods": tuple(likelihoods),
            "completion": scored(likelihoods),
            "form": case.variant,
            "record_metric": record,
        }
        names = inspect.signature(self._function).parameters
        try:
            self._function(**{name: fixtures[name] for name in names})
        except AssertionError:
            return Judged(False, metrics)
        return Judged(True, metrics)

    def chosen(self, index: int, choice: int) -> Judged:
        """Returns what becomes of a sample where one choice is all but certain."""
        sums = [-1e6] * len(self.texts(index))
        sums[choice] = -0.001
        return self.judge(index, [Likelihood(logprob=s, num_tokens=4) for s in sums])


def scored(likelihoods: Sequence[Likelihood]) -> Completion:
    """Returns what a server answers to texts that it scores."""
    return Completion(
        text="",
        finish_reason=SCORED,
        prompt_tokens=None,
        output_tokens=0,
        latency_s=0.1,
        likelihoods=tuple(likelihoods),
    )


def _module(page: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"page_{page}", EVALS / f"{page}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forms() -> Iterator[Any]:
    for page, name, right in RIGHT:
        benchmark = declared_benchmark(getattr(_module(page), f"test_{name}"))
        assert benchmark is not None
        scoring = (n for n, v in benchmark.variants.items() if isinstance(v, LikelihoodVariant))
        for form in scoring:
            yield pytest.param(page, name, form, right, id=f"{name}-{form}")


def score(judged: Sequence[Judged], metric: str) -> float:
    """Returns the mean of a metric, once it agrees with what passed."""
    values = [each.metrics[metric][0] for each in judged]
    assert values == [float(each.passed) for each in judged]
    return math.fsum(values) / len(values)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("page", "name", "form", "right"), list(forms()))
def test_choices_have_known_scores(page: str, name: str, form: str, right: list[int]) -> None:
    judge = Judge(page, name, form)
    assert len(judge.samples) == len(right)
    sizes = [len(judge.texts(index)) for index in range(len(right))]
    perfect = [judge.chosen(*pair) for pair in enumerate(right)]
    others = [(r + 1) % n for r, n in zip(right, sizes, strict=True)]
    wrong = [judge.chosen(*pair) for pair in enumerate(others)]
    assert score(perfect, judge.metric) == 1
    assert score(wrong, judge.metric) == 0
    assert score([perfect[0], *wrong[1:]], judge.metric) == 1 / len(right)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("page", "name", "form", "right"), list(forms()))
def test_who_knows_nothing_gets_what_the_first_choice_is_worth(
    page: str, name: str, form: str, right: list[int]
) -> None:
    judge = Judge(page, name, form)
    judged = []
    for index in range(len(right)):
        lengths = [len(t) if judge.metric == "acc_norm" else 1 for t in judge.texts(index)]
        judged.append(judge.judge(index, [Likelihood(logprob=-n, num_tokens=1) for n in lengths]))
    assert score(judged, judge.metric) == right.count(0) / len(right)


@pytest.mark.usefixtures("tiny")
def test_a_whole_text_is_judged_by_its_mean_loss() -> None:
    judge = Judge("test_piqa", "piqa", "opencompass")
    # The first solution has the larger sum, the second the smaller loss a token.
    found = [Likelihood(logprob=-10, num_tokens=5), Likelihood(logprob=-12, num_tokens=10)]
    assert judge.judge(0, found) == Judged(False, {"acc_ppl": (0, 1)})
    assert judge.judge(1, found) == Judged(True, {"acc_ppl": (1, 1)})


# Probabilities of "You get wet", "You turn into a frog", "You may catch the rhythm"; mc1, mc2.
# The third is an answer of mc2 alone.
ANSWERS = [
    ((0.6, 0.1, 0.3), 1, 0.9),
    ((0.2, 0.3, 0.5), 0, 0.7),
    ((0.4, 0.6, 0.1), 0, 0.5 / 1.1),
    ((0.0001, 0.9, 0.0001), 0, 0.0002 / 0.9002),
]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("masses", "mc1", "mc2"), ANSWERS)
def test_truthfulqa_passes_above_one_half(
    masses: tuple[float, ...], mc1: float, mc2: float
) -> None:
    judge = Judge("test_truthfulqa", "truthfulqa")
    assert judge.texts(0)[2] == "You may catch the rhythm."
    found = judge.judge(0, [Likelihood(logprob=math.log(m), num_tokens=1) for m in masses])
    values = {name: value for name, (value, _) in found.metrics.items()}
    assert values == pytest.approx({"mc1": mc1, "mc2": mc2})
    assert found.passed == (mc2 > 0.5)


@pytest.mark.usefixtures("tiny")
def test_one_half_is_not_enough_for_truthfulqa() -> None:
    judge = Judge("test_truthfulqa", "truthfulqa")
    # One true answer, one false; the third is false too, but in mc1 alone.
    found = judge.judge(1, [Likelihood(logprob=-7, num_tokens=1)] * 3)
    assert found == Judged(False, {"mc1": (1, 1), "mc2": (0.5, 1)})


@pytest.mark.usefixtures("tiny")
def test_lambada_is_right_where_greedy_decoding_gives_the_word() -> None:
    judge = Judge("test_lambada", "lambada")
    likely = Likelihood(logprob=-0.5, num_tokens=2, is_greedy=True)
    unlikely = Likelihood(logprob=-9.0, num_tokens=2, is_greedy=False)
    assert judge.judge(0, [likely]) == Judged(True, {"acc": (1, 1), "perplexity": (0.5, 1)})
    assert judge.judge(1, [unlikely]) == Judged(False, {"acc": (0, 1), "perplexity": (9, 1)})


@pytest.mark.usefixtures("tiny")
def test_wikitext_counts_words_and_bytes_of_the_original_text() -> None:
    judge = Judge("test_wikitext2", "wikitext2")
    # Eleven words and an empty one at both ends, 47 bytes.
    assert judge.samples[1]["page"] == " = Rain = \n \n Rain is 3 @.@ 5 times wetter 's \n"
    loss = 8 * math.log(2)
    found = judge.judge(1, [Likelihood(logprob=-loss, num_tokens=9)])
    assert found.passed
    assert found.metrics == {
        "word_perplexity": (loss, 13),
        "byte_perplexity": (loss, 47),
        "bits_per_byte": (pytest.approx(8), 47),
    }
