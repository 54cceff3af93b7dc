"""What ``record_metric`` records, up to the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

EVAL = '''
from lightllm_evals import RecordMetric, Sample, benchmark

def sums():
    for i in range(4):
        yield Sample(id=f"toy/{i}", fields={"q": f"{i} plus {i} is", "i": i})

@benchmark("toy", samples=sums, prompt=lambda s: s["q"], max_new_tokens=8)
def test_toy(sample, answer, record_metric: RecordMetric):
    """Known figures."""
    RECORD
'''

USUAL = """i = sample["i"]
    record_metric("kept", i, 3)
    record_metric("word_perplexity", (i + 1) * 2.0, i + 1)
    record_metric("bits_per_byte", i * 0.5)"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_ratios_and_perplexities_come_to_the_terminal(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    results: Callable[[], list[dict[str, Any]]],
    workers: str,
) -> None:
    pytester.makepyfile(test_toy=EVAL.replace("RECORD", USUAL))
    url = f"--lightllm-url={simulated({}).url}"
    result = pytester.runpytest_subprocess(
        workers, "-p", "no:cacheprovider", url, "--junitxml=report.xml", timeout=300
    )
    result.assert_outcomes(passed=4)
    # Known values: (0 + 1 + 2 + 3) / 12, exp(20 / 10) and the mean of 0, 0.5, 1 and 1.5.
    text = result.stdout.str()
    assert re.search(r"kept +50\.00 % \(95 % interval .* ratio of sums over samples", text)
    assert re.search(r"word_perplexity +7\.3891, n = 4; exp of ratio", text)
    assert re.search(r"bits_per_byte +0\.7500 \(95 % interval .* mean over samples", text)
    found = {line["case"]["sample"]: line["verdict"]["metrics"] for line in results()}
    assert found["toy/0"] == {
        "kept": [0.0, 3.0],
        "word_perplexity": 2.0,
        "bits_per_byte": 0.0,
    }
    assert found["toy/3"]["word_perplexity"] == [8.0, 4.0]
    report = (pytester.path / "report.xml").read_text(encoding="utf-8")
    assert 'name="kept" value="2/3"' in report


@pytest.mark.parametrize("arguments", ["float('nan')", "1.0, -2", "1.0, float('inf')"])
def test_a_metric_that_is_no_number_is_an_error_and_no_score(
    pytester: pytest.Pytester, simulated: Callable[..., Any], arguments: str
) -> None:
    pytester.makepyfile(test_toy=EVAL.replace("RECORD", f'record_metric("f1", {arguments})'))
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", f"--lightllm-url={simulated({}).url}", timeout=300
    )
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*record_metric('f1') got value * both must be finite numbers*"])
