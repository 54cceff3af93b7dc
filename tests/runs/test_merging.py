from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Completion, Request, SamplingParams
from lightllm_evals.results import CaseResult, CaseVerdict, PlannedCase
from lightllm_evals.runs.directory import RunDirectory
from lightllm_evals.runs.merging import merge_runs
from lightllm_evals.runs.past_run import PastRun

NUM = 4
IDENTITY: dict[str, Any] = {"settings": {}, "servers": [{"model_name": "m"}], "kind": "given"}


def result(benchmark: str, number: int) -> CaseResult:
    nodeid = f"t.py::{benchmark}[{number}]"
    return CaseResult(
        case=PlannedCase(
            nodeid=nodeid,
            benchmark=benchmark,
            variant="default",
            metric="pass@1",
            sample=f"{benchmark}/{number}",
            repeat=0,
            group="",
            num_samples_total=NUM,
            request=Request(id=nodeid, params=SamplingParams(max_new_tokens=8), prompt="p"),
        ),
        verdict=CaseVerdict(outcome="passed"),
        completion=Completion(
            text="x", finish_reason="stop", prompt_tokens=1, output_tokens=5, latency_s=1.0
        ),
    )


def past_run(path: Path, *benchmarks: str, planned: dict[str, int]) -> PastRun:
    """Returns a finished run that planned so much and has all results of ``benchmarks``."""
    directory = RunDirectory(path)
    directory.begin(IDENTITY)
    for name in benchmarks:
        for number in range(NUM):
            directory.append(result(name, number))
    figures = [{"benchmark": name, "planned": count} for name, count in planned.items()]
    directory.write("summary.json", {**IDENTITY, "benchmarks": figures})
    directory.close()
    return PastRun(path=path, identity=json.loads((path / "run.json").read_text()))


def test_a_whole_run_has_no_gaps(tmp_path: Path) -> None:
    found = merge_runs([past_run(tmp_path / "a", "alpha", planned={"alpha": NUM})])
    assert found.gaps == ()
    assert found.scores["alpha"].is_complete


def test_a_benchmark_that_lost_all_its_results_is_a_gap(tmp_path: Path) -> None:
    planned = {"alpha": NUM, "beta": 40, "gamma": 0}
    found = merge_runs([past_run(tmp_path / "a", "alpha", planned=planned)])
    assert found.gaps == ("beta: 0 of 40 scored",)
    assert list(found.scores) == ["alpha"]


def test_a_case_in_two_runs_is_an_error(tmp_path: Path) -> None:
    runs = [past_run(tmp_path / name, "alpha", planned={"alpha": NUM}) for name in "ab"]
    with pytest.raises(ConfigError, match=r"b and a both have t\.py"):
        merge_runs(runs)
