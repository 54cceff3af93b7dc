"""The pages that score given texts, end to end: plugin, client, simulated server, figures."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightllm_evals import Benchmark, Choice, Sample
from lightllm_evals.benchmark import LikelihoodVariant, declared_benchmark
from lightllm_evals.scoring import likelihood, targets

ROOT = Path(__file__).parents[2]
DATA = ROOT / "fixtures" / "datasets"

# Which choice is the right one; for the others it is the first.
TARGETS: dict[str, Callable[[Sample], int]] = {
    "arc_challenge": targets.index_target,
    "arc_easy": targets.index_target,
    "boolq": targets.boolean,
    "ceval": targets.answer_letter,
    "cmmlu": targets.answer_letter,
    "commonsenseqa": targets.index_target,
    "hellaswag": targets.label,
    "mmlu": targets.answer_index,
    "openbookqa": targets.index_target,
    "piqa": targets.label,
    "winogrande": targets.option_number,
}

CONFTEST = '''
"""The tiny files' checksums are not the registry's."""

from lightllm_evals.datasets import storage

storage.check_sum = lambda *_: None
'''


def page(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"page_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def benchmarks() -> Iterator[tuple[Path, Benchmark]]:
    """Yields the benchmarks whose default form scores given texts, each with its page."""
    for path in sorted((ROOT / "evals").glob("test_*.py")):
        for function in vars(page(path)).values():
            found = declared_benchmark(function)
            if found and isinstance(found.variants[found.default_variant], LikelihoodVariant):
                yield path, found


def right(benchmark: Benchmark) -> list[tuple[Sample, Choice]]:
    """Returns the samples, each with its right choice in the default form."""
    form = benchmark.variants[benchmark.default_variant]
    assert isinstance(form, LikelihoodVariant)
    target = TARGETS.get(benchmark.name)
    return [(s, form.choices(s)[target(s) if target else 0]) for s in benchmark.samples()]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_perfect_answers_pass_in_every_page(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    results: Callable[[], list[dict[str, Any]]],
    workers: str,
) -> None:
    all_right = {benchmark.name: right(benchmark) for _, benchmark in benchmarks()}
    assert all_right.keys() == TARGETS.keys() | {"truthfulqa", "lambada", "wikitext2"}
    choices = [choice for of_benchmark in all_right.values() for _, choice in of_benchmark]
    # WikiText-2 has no context: every text is as good as another.
    server = simulated({c.context: c.continuation for c in choices if c.context})
    run(pytester, server, workers, *(path for path, _ in benchmarks())).assert_outcomes(
        passed=len(choices)
    )
    metrics = values_of(pytester)
    for name in TARGETS:
        assert set(metrics[name].values()) == {1.0}
    assert metrics["lambada"]["acc"] == metrics["truthfulqa"]["mc1"] == 1
    assert 0.9 < metrics["truthfulqa"]["mc2"] <= 1
    assert 1 <= metrics["lambada"]["perplexity"] < 1.01
    logprobs = {
        line["case"]["sample"]: line["completion"]["likelihoods"][0]["logprob"]
        for line in results()
        if line["case"]["benchmark"] == "wikitext2"
    }
    pages = {sample.id: sample["page"] for sample, _ in all_right["wikitext2"]}
    expected = likelihood.rolling_perplexities(
        list(pages.values()), [logprobs[id_] for id_ in pages]
    )
    assert metrics["wikitext2"] == pytest.approx(expected)
    assert metrics["wikitext2"]["word_perplexity"] > 1.1


@pytest.mark.usefixtures("tiny")
def test_a_wrong_choice_is_shown_with_all_likelihoods(
    pytester: pytest.Pytester, simulated: Callable[..., Any]
) -> None:
    ((path, piqa),) = [found for found in benchmarks() if found[1].name == "piqa"]
    texts = {
        choice.context: f" {sample['sol2' if choice.text == sample['sol1'] else 'sol1']}"
        for sample, choice in right(piqa)
    }
    result = run(pytester, simulated(texts), "-n0", path)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*lightllm prompt (end)*",
            "Question: open a jar",
            "*lightllm likelihoods (ll, *s)*",
            "*-8.* over 5 tokens: ' Twist the lid. '",
            "*-0.0* over 4 tokens: ' Bite the glass.'",
            "*2 planned, 2 scored: 0 passed, 2 failed*",
            "scored * tokens in * s, * tokens/s; the run took * s",
        ]
    )
    result.stdout.no_fnmatch_line("*truncated*")
    result.stdout.no_fnmatch_line("*lightllm completion*")


def run(pytester: pytest.Pytester, server: Any, workers: str, *pages: Path) -> pytest.RunResult:
    """Runs pages in a folder of their own, on the tiny data sets."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST)
    for path in set(pages):
        shutil.copy(path, pytester.path)
    data = f"--lightllm-data-dir={DATA}"
    return pytester.runpytest_subprocess(
        workers, f"--lightllm-url={server.url}", data, timeout=300
    )


def values_of(pytester: pytest.Pytester) -> dict[str, dict[str, float]]:
    """Returns the values of all metrics by benchmark, from the run's summary."""
    (path,) = pytester.path.glob(".lightllm-evals/runs/*/summary.json")
    return {
        each["benchmark"]: {name: found["value"] for name, found in each["metrics"].items()}
        for each in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    }
