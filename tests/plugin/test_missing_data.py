"""A benchmark whose data set is missing is skipped with the reason; its neighbours run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

MODULE = """
from lightllm_evals import Sample, benchmark
from lightllm_evals.datasets import jsonl

def sums():
    return [Sample(id="one", fields={"q": "1 plus 1 is"})]

def form(sample):
    return sample["q"]

@benchmark("here", samples=sums, prompt=form, max_new_tokens=8, kinds=["math"])
def test_here(sample, answer):
    assert answer == " 2"

@benchmark("away", samples=jsonl("nowhere.jsonl"), prompt=form, max_new_tokens=8, kinds=["zh"])
def test_away(sample, answer):
    assert False, "it has no sample"
"""


@pytest.fixture
def module(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -ra\nfilterwarnings = error\n")
    pytester.makepyfile(test_both=MODULE)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_only_the_benchmark_without_data_is_skipped(
    pytester: pytest.Pytester, simulated: Callable[..., Any], workers: str
) -> None:
    url = simulated({"1 plus 1 is": " 2"}).url
    result = pytester.runpytest_subprocess(workers, f"--lightllm-url={url}", timeout=300)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*nowhere.jsonl*", "*1 planned, 1 scored: 1 passed*"])
    assert result.ret == pytest.ExitCode.OK


FORM = """
from lightllm_evals import Sample, Variant, benchmark
from lightllm_evals.errors import DatasetMissingError

def samples():
    return [Sample(id="one", fields={"q": "1 plus 1 is"})]

def own(sample):
    return sample["q"]

def shots(sample):
    raise DatasetMissingError("The shots are nowhere.")

VARIANTS = {
    "plain": Variant(prompt=own, max_new_tokens=8),
    "shots": Variant(prompt=own, max_new_tokens=8, prefix=shots),
}

@benchmark("forms", samples=samples, variants=VARIANTS)
def test_forms(answer):
    assert answer == " 2"
"""


@pytest.mark.parametrize(("variant", "outcome"), [("plain", "passed"), ("shots", "skipped")])
def test_only_the_form_without_its_shots_is_skipped(
    pytester: pytest.Pytester, simulated: Callable[..., Any], variant: str, outcome: str
) -> None:
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -ra\nfilterwarnings = error\n")
    pytester.makepyfile(test_forms=FORM)
    url = simulated({"1 plus 1 is": " 2"}).url
    result = pytester.runpytest_subprocess(
        f"--lightllm-url={url}", f"--lightllm-variant=forms={variant}", timeout=300
    )
    result.assert_outcomes(**{outcome: 1})
    assert ("The shots are nowhere." in result.stdout.str()) == (outcome == "skipped")


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    "selection", [["-m", "zh"], ["test_both.py::test_away"], ["test_both.py::test_away[a/7]"]]
)
def test_who_asks_for_it_alone_is_told_the_reason(
    pytester: pytest.Pytester, selection: list[str]
) -> None:
    result = pytester.runpytest_subprocess(*selection, "--lightllm-url=http://127.0.0.1:1")
    result.assert_outcomes(skipped=1, deselected=int("-m" in selection))
    result.stdout.fnmatch_lines(["SKIPPED*nowhere.jsonl*"])


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_who_names_a_baseline_hears_of_what_was_skipped(
    pytester: pytest.Pytester, simulated: Callable[..., Any], workers: str
) -> None:
    url = f"--lightllm-url={simulated({'1 plus 1 is': ' 2'}, '--model-name', 'm').url}"
    saved = pytester.runpytest_subprocess(
        url, "--lightllm-save-baseline=all/here.json", timeout=300
    )
    assert saved.ret == pytest.ExitCode.OK
    text = (pytester.path / "all" / "here.json").read_text(encoding="utf-8")
    away = pytester.path / "all" / "away.json"
    away.write_text(text.replace('"benchmark": "here"', '"benchmark": "away"'), encoding="utf-8")
    compared = pytester.runpytest_subprocess(
        workers,
        url,
        "--lightllm-baseline=all",
        "--lightllm-gate=drop<=2, inconclusive=pass",
        timeout=300,
    )
    compared.assert_outcomes(passed=1, skipped=1)
    compared.stdout.fnmatch_lines(
        ["note: away was not compared with *away.json: it was skipped, since its data are missing"]
    )
    for baseline, status in (("all", 10), ("all/away.json", 10), ("none", 0)):
        alone = pytester.runpytest_subprocess(
            workers, "-m", "zh", url, f"--lightllm-baseline={baseline}", timeout=300
        )
        assert alone.ret == status
        assert ("nothing was judged" in alone.stdout.str()) == bool(status)
