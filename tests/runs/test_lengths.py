"""The lengths of the last run of the same model, for the order of the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightllm_evals.records import Request, SamplingParams
from lightllm_evals.results import PlannedCase
from lightllm_evals.runs.lengths import FILE, known_lengths, lengths_data


@pytest.fixture
def make_case() -> Callable[..., PlannedCase]:
    """Makes the planned case of a sample of benchmark x."""

    def make(sample: str) -> PlannedCase:
        nodeid = f"x[{sample}]"
        request = Request(id=nodeid, params=SamplingParams(max_new_tokens=1))
        return PlannedCase(
            nodeid=nodeid,
            benchmark="x",
            variant="default",
            metric="acc",
            sample=sample,
            repeat=0,
            group="",
            num_samples_total=4,
            request=request,
        )

    return make


def _write(runs: Path, name: str, text: str) -> None:
    (runs / name).mkdir(parents=True)
    (runs / name / FILE).write_text(text, encoding="utf-8")


def test_latest_run_of_the_same_model_counts(tmp_path: Path) -> None:
    _write(tmp_path, "20260101-000000-a", json.dumps(lengths_data("m", {"x": 1})))
    _write(tmp_path, "20260102-000000-a", json.dumps(lengths_data("m", {"x": 2, "y": 3})))
    _write(tmp_path, "20260103-000000-a", json.dumps(lengths_data("other", {"x": 9})))
    assert known_lengths(tmp_path, None, "m").by_case == {"x": 2, "y": 3}


def test_a_run_of_one_sample_hides_no_whole_run(tmp_path: Path) -> None:
    whole = {f"x[{i}]": i for i in range(164)}
    _write(tmp_path, "20260101-000000-a", json.dumps(lengths_data("m", whole)))
    _write(tmp_path, "20260102-000000-a", json.dumps(lengths_data("m", {"x[3]": 99})))
    assert known_lengths(tmp_path, None, "m").by_case == whole | {"x[3]": 99}


def test_a_baseline_knows_what_no_run_had(
    tmp_path: Path, make_case: Callable[..., PlannedCase]
) -> None:
    samples = {"a": {"output_tokens": [7]}, "b": {"output_tokens": [9]}, "c": {}}
    baseline = {"identity": {"model": "m", "benchmark": "x"}, "samples": samples}
    (tmp_path / "x.json").write_text(json.dumps(baseline), encoding="utf-8")
    _write(tmp_path, "20260101-000000-a", json.dumps(lengths_data("m", {"x[a]": 1})))
    found = known_lengths(tmp_path, tmp_path, "m")
    for sample in "abcd":
        found.note(make_case(sample))
    assert found.by_case == {"x[a]": 1, "x[b]": 9}
    assert not known_lengths(tmp_path / "nowhere", tmp_path, "other")


def test_torn_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, "1", json.dumps(lengths_data("m", {"x": 1})))
    _write(tmp_path, "2", '{"model_name": "m", "output_to')
    _write(tmp_path, "3", "[]")
    _write(tmp_path, "4", '{"model_name": "m", "output_tokens": [1]}')
    assert known_lengths(tmp_path, None, "m").by_case == {"x": 1}


def test_no_earlier_run_knows_no_length(tmp_path: Path) -> None:
    assert not known_lengths(tmp_path / "nowhere", tmp_path / "none.json", "m")
