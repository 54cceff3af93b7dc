from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from lightllm_evals.gate import Identity, RunScores, SampleScores

MakeRun = Callable[..., RunScores]


def make(
    scores: Sequence[float | Sequence[float]],
    *,
    benchmark: str = "humaneval",
    identity: Mapping[str, Any] | None = None,
    latency_s: float = 1.0,
    groups: Sequence[str] = (),
    finish_reason: str = "stop",
    **fields: Any,
) -> RunScores:
    samples = {}
    for i, score in enumerate(scores):
        repeats = tuple(score) if isinstance(score, Sequence) else (float(score),)
        samples[f"{benchmark}/{i}"] = SampleScores(
            scores=repeats,
            group=groups[i] if groups else "",
            # Samples take different times, else a percentile has nothing to choose from.
            latency_s=tuple(latency_s * (1 + i % 7 / 10) for _ in repeats),
            output_tokens=tuple(100 + i for _ in repeats),
            finish_reasons=tuple(finish_reason for _ in repeats),
        )
    defaults: dict[str, Any] = {
        "planned": sum(len(sample.scores) for sample in samples.values()),
        "source": "baseline.json",
    }
    return RunScores(
        identity=Identity(benchmark=benchmark, **(identity or {})),
        samples=samples,
        **{**defaults, **fields},
    )


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """Makes a run from one score, or one list of scores, a sample."""
    return make
