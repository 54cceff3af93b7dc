"""A case before and after it ran: what was planned for it and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from lightllm_evals.records import Aggregation, Completion, Request, from_json

CaseOutcome = Literal["passed", "failed", "error", "skipped"]

MetricValue = float | tuple[float, float]
"""A sample's value of a metric, or its value and weight where that is not 1."""


class RecordMetric(Protocol):
    """The type of the fixture ``record_metric``."""

    def __call__(self, name: str, value: float, weight: float = 1.0) -> None:
        """Records a metric of this sample.

        Over samples it is the sum of the values divided by the sum of the weights: the mean
        where weights are 1. A name that ends in "perplexity" is shown as exp of that, so that
        its value is a negative log-probability (natural logarithm).

        Args:
            name: Of the metric; the benchmark's headline metric takes the place of passed = 1.
            value: The sample's score, or how much of ``weight`` holds.
            weight: What the sample counts: its instructions, words or bytes.

        Raises:
            HarnessError: A number is not finite, or the weight is negative.
        """
        ...  # pragma: no cover


def weighted(value: MetricValue) -> tuple[float, float]:
    """Returns value and weight of a sample's metric."""
    return value if isinstance(value, tuple) else (value, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCase:
    """A case that this run is going to score.

    Attributes:
        nodeid: Its pytest node id, unique in the run; also the id of its request.
        benchmark: Name of the benchmark.
        variant: Name of the form.
        metric: Name of the benchmark's headline metric.
        sample: The data set's id of the sample.
        repeat: 0 for the first completion of the sample.
        group: Subject or task, "" where there is none.
        num_samples_total: Samples that the data set has in all.
        aggregation: How the headline comes of samples that have groups.
        request: The completion that it needs.
        sample_hash: Hash of the data set's record, "" where unknown.
        prompt_hash: Hash of the prompt, "" where unknown.
        fingerprint: Hashes of all that the benchmark's scores depend on: ``dataset``,
            ``prompt``, ``postprocessing``, ``scorer``.
    """

    nodeid: str
    benchmark: str
    variant: str
    metric: str
    sample: str
    repeat: int
    group: str
    num_samples_total: int
    request: Request
    sample_hash: str = ""
    prompt_hash: str = ""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    aggregation: Aggregation = "micro"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVerdict:
    """What a worker found out about one case; plain data, so that reports can carry it.

    Attributes:
        outcome: "passed" and "failed" are scores; "error" was not measured.
        detail: The verdict, or the error's sentence.
        error: Class of the error, "" where there is none.
        verdict: The sandbox's verdict, {} where none was asked for.
        metrics: The sample's metrics by name.
        scoring_s: Time that judging took.
        worker: The xdist worker that judged.
        num_think_blocks: Blocks of thinking that were taken out of the completion before it was
            judged; None where the profile marks none.
        is_think_unclosed: The completion ended inside the last of them.
    """

    outcome: CaseOutcome
    detail: str = ""
    error: str = ""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    scoring_s: float = 0.0
    worker: str = ""
    num_think_blocks: int | None = None
    is_think_unclosed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A line of ``results.jsonl``: plan, completion and verdict of one case."""

    case: PlannedCase
    verdict: CaseVerdict
    completion: Completion | None

    @property
    def is_scored(self) -> bool:
        """Whether the case has a score, right or wrong."""
        return self.verdict.outcome in {"passed", "failed"}


def decode_planned(data: Mapping[str, Any]) -> PlannedCase:
    """Returns the planned case that ``to_json`` wrote."""
    return from_json(PlannedCase, {**data, "request": from_json(Request, data["request"])})


def decode_result(data: Mapping[str, Any]) -> CaseResult:
    """Returns the result that ``to_json`` wrote."""
    completion = data["completion"]
    return CaseResult(
        case=decode_planned(data["case"]),
        verdict=from_json(CaseVerdict, data["verdict"]),
        completion=from_json(Completion, completion) if completion is not None else None,
    )
