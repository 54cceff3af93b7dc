"""Fractions and perplexities from the server's answer to the gate's verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The server's answer is the sample's figure: what is judged is the way of it to the verdict.
PAGE = '''
from lightllm_evals import RecordMetric, Sample, benchmark

def rows():
    for i in range(40):
        yield Sample(id=f"toy/{i}", fields={"q": f"figure of {i}", "words": 10 + i})

@benchmark("toy", samples=rows, prompt=lambda s: s["q"], max_new_tokens=8, metric="METRIC")
def test_toy(sample, answer, record_metric: RecordMetric):
    """A figure."""
    RECORD
'''

F1 = """record_metric("f1", float(answer))
    assert float(answer) == 1"""
PERPLEXITY = 'record_metric("word_perplexity", float(answer) * sample["words"], sample["words"])'

Judged = Callable[[str, str, Callable[[int], float]], pytest.RunResult]


@pytest.fixture
def judged(pytester: pytest.Pytester, simulated: Callable[..., Any]) -> Judged:
    """Runs a page against a server that gives each sample its figure."""

    def run(page: str, option: str, figure: Callable[[int], float]) -> pytest.RunResult:
        pytester.makepyfile(test_toy=page)
        answers = {f"figure of {i}": f"{figure(i):.3f}" for i in range(40)}
        server = simulated(answers, "--model-name", "m")
        args = ("-p", "no:cacheprovider", "--tb=no", f"--lightllm-url={server.url}", option)
        return pytester.runpytest_subprocess(*args, timeout=300)

    return run


def test_f1_is_judged_by_the_mean_of_f1_and_not_by_what_passed(judged: Judged) -> None:
    page = PAGE.replace("METRIC", "f1").replace("RECORD", F1)
    saved = judged(page, "--lightllm-save-baseline=b.json", lambda i: 0.5 + 0.01 * (i % 10))
    saved.stdout.fnmatch_lines(["*f1 * 54.50 % (95 % interval *mean over samples, t interval"])
    same = judged(page, "--lightllm-baseline=b.json", lambda i: 0.5 + 0.01 * (i % 10))
    same.stdout.fnmatch_lines(["toy: PASS  f1 54.5 -> 54.5 %, +0.0 points*"])
    assert same.ret == 0
    # Nothing passed then or now: only the fractions tell.
    worse = judged(page, "--lightllm-baseline=b.json", lambda i: 0.45 + 0.011 * (i % 10))
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(
        [
            "toy: REGRESSED  f1 54.5 -> 50.0 %, -4.5 points*",
            "*40 fell, 0 rose of 40 samples",
            "*(paired t test)",
            "gate: REGRESSED (exit status 1)",
        ]
    )


def test_a_perplexity_is_judged_by_its_logarithm(
    judged: Judged, pytester: pytest.Pytester
) -> None:
    page = PAGE.replace("METRIC", "word_perplexity").replace("RECORD", PERPLEXITY)
    saved = judged(page, "--lightllm-save-baseline=b.json", lambda i: 3 + 0.01 * (i % 4))
    saved.stdout.fnmatch_lines(["*word_perplexity  20.40 (95 % interval *; exp of ratio of sums*"])
    samples = json.loads((pytester.path / "b.json").read_text(encoding="utf-8"))["samples"]
    assert samples["toy/3"]["scores"] == [pytest.approx(-3.03)]
    assert samples["toy/3"]["weight"] == 13
    script = Path(sys.executable).with_name("lightllm-evals")
    noise = pytester.run(script, "noise", "b.json", "b.json")
    assert noise.ret == 0
    noise.stdout.fnmatch_lines(["toy: its word_perplexity is no share*compare RUN RUN*"])
    better = judged(page, "--lightllm-baseline=b.json", lambda i: 2.9 + 0.01 * (i % 5))
    assert better.ret == 0
    better.stdout.fnmatch_lines(["toy: PASS  word_perplexity 20.40 -> 18.55, +0.09* nats*"])
    worse = judged(page, "--lightllm-baseline=b.json", lambda i: 3.1 + 0.01 * (i % 5))
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(["toy: REGRESSED  word_perplexity 20.40 -> 22.* nats*"])
    limit = judged(page, "--lightllm-min=toy:word_perplexity<=20", lambda i: 3.1)
    assert limit.ret == 1
    limit.stdout.fnmatch_lines(["FAILS: toy:word_perplexity<=20 (it is 22.20)"])
