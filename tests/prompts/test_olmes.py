"""OLMES's lettered form, held against the request that the real few-shot file shows."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lightllm_evals import datasets
from lightllm_evals.datasets import storage
from lightllm_evals.errors import DatasetMissingError
from lightllm_evals.prompts import olmes
from lightllm_evals.records import Sample

TASKS: list[tuple[str, Callable[[], list[Sample]]]] = [
    ("arc_challenge", datasets.arc_challenge),
    ("arc_easy", datasets.arc_easy),
    ("csqa", datasets.commonsenseqa),
]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("task", "source"), TASKS, ids=[task for task, _ in TASKS])
def test_the_published_request_is_among_ours(
    task: str, source: Callable[[], list[Sample]]
) -> None:
    path = "olmes_fewshot/olmes_5shot_prefixes.json"
    published = json.loads(storage.read_content(path))[task]["mc"]
    make = olmes.choices(datasets.olmes_shots(task))
    ours = {make(sample)[0].context for sample in source()}
    assert published["prefix"] + published["example_context"] in ours


def test_shots_are_read_when_they_are_needed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(empty))
    monkeypatch.setattr(storage, "cache_dir", lambda: empty)
    shots = datasets.olmes_shots("csqa")
    with pytest.raises(DatasetMissingError, match="OLMES five-shot prefixes"):
        shots()
