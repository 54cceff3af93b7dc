"""A baseline and what a later run is called: the same, worse, incomplete, not comparable, slow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lightllm_evals.runs.baseline import load_baseline

NUM = 164
BASELINE = "fixtures/baselines/toy-model/toy.json"
DISTRIBUTIONS = ["-n0", "-n2"]
MODEL = ("--model-name", "toy-model", "--slots", "64")

# One run makes the baseline for all tests here: they differ in what comes after it.
_SAVED: dict[str, str] = {}

Simulated = Callable[..., Any]
Judged = Callable[..., pytest.RunResult]


def completions(broken: Iterable[int] = ()) -> dict[str, str]:
    """Every eighth answer was wrong then; of ``broken`` the others are wrong now, too."""
    wrong = {i for i in range(NUM) if i % 8 == 0} ^ set(broken)
    return {f"{i} plus {i} is": "no idea" if i in wrong else f" {2 * i}" for i in range(NUM)}


@pytest.fixture
def judged(
    pytester: pytest.Pytester,
    simulated: Simulated,
    toy: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Judged:
    """Runs the toy benchmark against a server with these answers, with the baseline at hand."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    toy(NUM)

    def run(server: Any, *args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(
            # It would be imported at each failure, which takes longer than the run.
            "-p",
            "no:hypothesispytest",
            f"--lightllm-url={server.url}",
            "--lightllm-concurrency=32",
            "--lightllm-retries=0",
            *args,
            timeout=300,
        )

    if not _SAVED:
        first = run(simulated(completions(), *MODEL), "-n0", "--lightllm-save-baseline=default")
        assert first.ret == pytest.ExitCode.TESTS_FAILED  # pytest's own: an eighth is wrong
        _SAVED["text"] = (pytester.path / BASELINE).read_text(encoding="utf-8")
    path = pytester.path / BASELINE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_SAVED["text"], encoding="utf-8")
    return run


def test_a_saved_baseline_has_every_sample_and_all_that_it_depends_on(
    judged: Judged, pytester: pytest.Pytester
) -> None:
    saved = load_baseline(pytester.path / BASELINE)
    assert saved.is_complete
    assert len(saved.samples) == NUM
    assert saved.headline().value == 143 / 164
    identity = saved.identity
    assert (identity.model, identity.variant, identity.concurrency) == ("toy-model", "default", 32)
    assert identity.params["max_new_tokens"] == 8
    assert all((identity.dataset, identity.prompt, identity.postprocessing, identity.scorer))
    assert "port" not in identity.settings
    assert "http:" not in _SAVED["text"]
    assert all(sample.sample_hash and sample.prompt_hash for sample in saved.samples.values())


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_same_answers_pass_by_the_baseline_found_unasked(
    judged: Judged, simulated: Simulated, distribution: str
) -> None:
    result = judged(simulated(completions(), *MODEL), distribution)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            f"*baseline of toy: *{BASELINE}, 164 samples*",
            "toy: PASS  pass@1 87.2 -> 87.2 %*",
            "*0 broken, 0 fixed of 164 samples",
            "gate: PASS (exit status 0)",
        ]
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_six_broken_samples_are_a_regression_that_every_report_tells(
    judged: Judged,
    simulated: Simulated,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    distribution: str,
) -> None:
    page = pytester.path / "step-summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    broken = (1, 2, 3, 5, 6, 7)
    server = simulated(completions(broken), *MODEL)
    result = judged(server, distribution, "--junitxml=report.xml")
    ids = " ".join(f"toy/{i}" for i in broken)
    rerun = f"pytest 'test_toy.py::test_toy[[]toy/1]'*--lightllm-url={server.url}*"
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "toy: REGRESSED  pass@1 87.2 -> 83.5 %, -3.7 points*",
            "*6 broken, 0 fixed of 164 samples",
            f"*broken: {ids}",
            f"*rerun: {rerun}",
            "gate: REGRESSED (exit status 1)",
        ]
    )
    case = junit_gate_case(pytester.path / "report.xml")
    failure = case.find("failure")
    assert failure is not None
    assert "REGRESSED" in failure.attrib["message"]
    assert ids in str(failure.text)
    gate = summary(pytester.path)["gate"]
    assert (gate["verdict"], gate["exit_status"], gate["passes"]) == ("REGRESSED", 1, False)
    assert gate["benchmarks"][0]["comparison"]["broken"] == [f"toy/{i}" for i in broken]
    text = page.read_text(encoding="utf-8")
    assert "| toy | **REGRESSED** | 87.2% | 83.5% |" in text
    assert "Broken in toy: `toy/1`" in text
    assert f"--lightllm-url={server.url}" in text


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_three_broken_and_three_fixed_pass_and_junit_has_the_case(
    judged: Judged, simulated: Simulated, pytester: pytest.Pytester, distribution: str
) -> None:
    server = simulated(completions((1, 2, 3, 8, 16, 24)), *MODEL)
    result = judged(server, distribution, "--junitxml=report.xml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["toy: PASS*+0.0 points*", "*3 broken, 3 fixed of 164 samples", "gate: PASS*"]
    )
    case = junit_gate_case(pytester.path / "report.xml")
    assert case.find("failure") is None
    assert {"name": "verdict", "value": "PASS"} in [each.attrib for each in case.iter("property")]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_errors_make_a_run_incomplete(
    judged: Judged, simulated: Simulated, distribution: str
) -> None:
    server = simulated(completions(), *MODEL, "--fault", "500=0.1")
    result = judged(server, distribution)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["toy: INCOMPLETE*", "gate: INCOMPLETE (exit status 10)"])


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("test_other.py", "1 tests or modules beside the samples failed"),
        ("--lightllm-min=toy:pass@1>=99%", "a condition of --lightllm-min does not hold"),
        ("--lightllm-save-baseline=no/where.json", "Cannot write the baseline*"),
    ],
)
def test_no_report_says_pass_where_the_process_does_not_end_with_0(
    judged: Judged,
    simulated: Simulated,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    reason: str,
) -> None:
    page = pytester.path / "step-summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    (pytester.path / "no").write_text("a file, no folder", encoding="utf-8")
    pytester.makepyfile(test_other="def test_other():\n    assert False\n")
    result = judged(
        simulated(completions(), *MODEL),
        "-n0",
        "test_toy.py",
        option,
        f"--lightllm-baseline={BASELINE}",
        "--junitxml=report.xml",
    )
    status = 10 if "save" in option else 1
    assert result.ret == status
    last = f"gate: FAILED (exit status {status}): {reason}"
    result.stdout.fnmatch_lines(["toy: PASS *", last])
    result.stdout.no_fnmatch_line("gate: PASS*")
    failure = junit_gate_case(pytester.path / "report.xml").find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith(last.rstrip("*"))
    assert page.read_text(encoding="utf-8").startswith(f"### {last.rstrip('*')}")
    gate = summary(pytester.path)["gate"]
    assert (gate["passes"], gate["exit_status"]) == (False, status)


def test_an_incomplete_run_becomes_no_baseline(
    judged: Judged, simulated: Simulated, pytester: pytest.Pytester
) -> None:
    server = simulated(completions(), *MODEL, "--fault", "500=0.1")
    result = judged(server, "-n0", "--lightllm-save-baseline=new.json")
    assert result.ret == 10
    result.stdout.fnmatch_lines(["ERROR: toy is incomplete*no baseline was saved*"])
    assert not (pytester.path / "new.json").exists()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_another_prompt_is_not_comparable_and_named(
    judged: Judged, simulated: Simulated, pytester: pytest.Pytester, distribution: str
) -> None:
    source = (pytester.path / "test_toy.py").read_text(encoding="utf-8")
    changed = source.replace('prompt=lambda s: s["q"]', 'prompt=lambda s: "Q: " + s["q"]')
    assert changed != source
    pytester.makepyfile(test_toy=changed)
    server = simulated({f"Q: {key}": text for key, text in completions().items()}, *MODEL)
    result = judged(server, distribution, "--lightllm-gate", "toy: drop<=2")
    assert result.ret == 10
    result.stdout.fnmatch_lines(
        ["toy: NOT COMPARABLE*", "*prompt: * -> *", "gate: NOT COMPARABLE (exit status 10)"]
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_slower_server_fails_the_timing_gate(
    judged: Judged, simulated: Simulated, distribution: str
) -> None:
    server = simulated(completions(), *MODEL, "--step-ms", "150")
    result = judged(server, distribution, "--lightllm-gate", "latency_p50<=2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*REGRESSED latency_p50:*", "gate: REGRESSED (exit status 1)"])


def test_without_gate_and_baseline_the_status_is_pytests_own(
    judged: Judged, simulated: Simulated
) -> None:
    server = simulated(completions(), *MODEL)
    result = judged(server, "-n0", "--lightllm-baseline=none")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("gate: *")
    # A part of the samples is no run of its baseline's settings.
    result = judged(server, "-n0", "--lightllm-limit=8")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["note: toy was not compared with *164 samples and this run 8"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--lightllm-gate=drop>5", "*drop>5*"),
        ("--lightllm-baseline=nowhere.json", "*There is no baseline nowhere.json*"),
        ("--lightllm-save-baseline=evals", "*takes a file that ends in .json*"),
        ("--lightllm-shard=5/4", "*takes I/N*"),
        ("--lightllm-resume=nowhere", "*nowhere is no run*"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    pytester: pytest.Pytester, option: str, message: str
) -> None:
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def junit_gate_case(path: Path) -> ElementTree.Element:
    """Returns the gate's case in a JUnit file."""
    (case,) = [
        case
        for case in ElementTree.parse(path).iter("testcase")
        if case.attrib["classname"] == "lightllm-gate"
    ]
    assert case.attrib["name"] == "toy"
    return case


def summary(below: Path) -> dict[str, Any]:
    """Returns ``summary.json`` of the latest run."""
    latest = max(
        below.glob(".lightllm-evals/runs/*/summary.json"), key=lambda p: p.stat().st_mtime
    )
    found: dict[str, Any] = json.loads(latest.read_text(encoding="utf-8"))
    return found
