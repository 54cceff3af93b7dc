from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import Identity, RunScores, SampleScores, Verdict, judge
from lightllm_evals.runs.baseline import (
    baseline_path,
    baseline_text,
    find_baseline,
    load_baseline,
    parse_baseline,
    save_baseline,
)

IDENTITY = Identity(
    benchmark="humaneval",
    variant="reference",
    dataset="d1",
    prompt="p1",
    params={"max_new_tokens": 1024, "do_sample": False, "stop_sequences": ["\nclass"]},
    model="SmolLM2-135M",
    server={"dialect": "b"},
    concurrency=8,
    settings={"tp": 1},
)


def baseline(**changes: Any) -> RunScores:
    samples = {
        f"HumanEval/{i}": SampleScores(
            scores=(float(i % 2),),
            output_tokens=(40 + i,),
            latency_s=(1.25,),
            finish_reasons=("stop",),
            prompt_hash="ab12",
        )
        for i in range(12)
    }
    run = RunScores(
        identity=IDENTITY,
        samples=samples,
        planned=12,
        versions={"lightllm-evals": "0.1.0"},
        date="2026-01-02T03:04:05Z",
    )
    return dataclasses.replace(run, **changes)


def test_a_baseline_survives_the_file(tmp_path: Path) -> None:
    path = baseline_path(tmp_path, IDENTITY)
    assert path == tmp_path / "SmolLM2-135M" / "humaneval.json"
    save_baseline(path, baseline())
    loaded = load_baseline(path)
    assert loaded == baseline(source=str(path))
    verdict = judge({"humaneval": baseline()}, {"humaneval": loaded}).verdict
    assert verdict is Verdict.PASS


def test_a_file_has_a_line_a_sample_in_natural_order_and_no_noise() -> None:
    lines = [line for line in baseline_text(baseline()).splitlines() if '"HumanEval/' in line]
    assert [json.loads("{" + line.rstrip(",") + "}").popitem()[0] for line in lines] == [
        f"HumanEval/{i}" for i in range(12)
    ]
    assert lines[1].strip(" ,") == (
        '"HumanEval/1": {"finish_reasons": ["stop"], "latency_s": [1.25], '
        '"output_tokens": [41], "prompt_hash": "ab12", "scores": [1]}'
    )


def test_the_same_run_makes_the_same_text_whatever_its_order() -> None:
    run = baseline()
    turned = dataclasses.replace(run, samples=dict(reversed(list(run.samples.items()))))
    assert baseline_text(turned) == baseline_text(run)


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.builds(
            SampleScores,
            scores=st.lists(st.floats(0, 1), min_size=1, max_size=3).map(tuple),
            group=st.text(max_size=5),
            output_tokens=st.lists(st.integers(0, 10_000), max_size=3).map(tuple),
            latency_s=st.lists(st.integers(0, 10**7).map(lambda i: round(i / 1e4, 4))).map(tuple),
            num_empty=st.integers(0, 3),
        ),
    )
)
@settings(deadline=None)
def test_any_run_survives_its_text(samples: dict[str, SampleScores]) -> None:
    run = baseline(samples=samples, source="x")
    assert parse_baseline(baseline_text(run), "x") == run


@pytest.mark.parametrize("changes", [{"planned": 13}, {"errors": 1}])
def test_an_incomplete_run_is_never_saved(tmp_path: Path, changes: dict[str, int]) -> None:
    path = tmp_path / "humaneval.json"
    with pytest.raises(ConfigError, match="incomplete"):
        save_baseline(path, baseline(**changes))
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "is not a baseline; make one with --lightllm-save-baseline"),
        ('{"format": "other"}', "is not a baseline"),
        (
            '{"format": "lightllm-evals baseline", "schema": 2}',
            "has schema 2, this version reads 1",
        ),
        ('{"format": "lightllm-evals baseline", "schema": 1}', "is damaged"),
    ],
)
def test_what_is_no_baseline_gets_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_baseline(text, "b.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"scores": [1]', '"scores": []'),
        ('"scores": [1]', '"scores": ["1"]'),
        ('"scores": [1]', '"scores": [NaN]'),
        ('"scores": [1]', '"points": [1]'),
        ('"scores": [1]', '"scores": 1'),
        ('"planned": 12', '"planned": "many"'),
        ('"benchmark": "humaneval",', ""),
    ],
)
def test_a_damaged_baseline_is_refused(old: str, new: str) -> None:
    text = baseline_text(baseline())
    assert old in text
    with pytest.raises(ConfigError, match="is damaged"):
        parse_baseline(text.replace(old, new, 1), "b.json")


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read the baseline .*none\.json: No such file"):
        load_baseline(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b"\xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_baseline(tmp_path / "latin.json")
    with pytest.raises(ConfigError, match="Cannot write the baseline"):
        save_baseline(tmp_path / "latin.json" / "x.json", baseline())


def test_the_search_finds_the_baseline_of_the_model_and_settings(tmp_path: Path) -> None:
    other_model = dataclasses.replace(IDENTITY, model="other")
    other_prompt = dataclasses.replace(IDENTITY, prompt="p2")
    slower = dataclasses.replace(IDENTITY, concurrency=1)
    for name, identity in (
        ("a", other_model),
        ("b", other_prompt),
        ("c", slower),
        ("d", IDENTITY),
    ):
        save_baseline(tmp_path / name / "humaneval.json", baseline(identity=identity))
    search = find_baseline(tmp_path, IDENTITY)
    assert search.found is not None
    assert search.found.source == str(tmp_path / "d" / "humaneval.json")
    assert search.misfits == ("humaneval.json differs in prompt: p2 -> p1",)


def test_the_search_finds_nothing_in_an_empty_or_absent_directory(tmp_path: Path) -> None:
    assert find_baseline(tmp_path, IDENTITY).found is None
    assert find_baseline(tmp_path / "absent", IDENTITY).found is None


def test_a_model_s_name_makes_a_safe_directory() -> None:
    identity = dataclasses.replace(IDENTITY, model="../meta/Llama 2:7b")
    assert baseline_path(Path("b"), identity) == Path("b/meta-Llama-2-7b/humaneval.json")
