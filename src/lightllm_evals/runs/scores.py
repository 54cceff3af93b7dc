"""A run's results as the gate sees them: scores by benchmark, with all that they depend on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import Identity, RunScores, SampleScores
from lightllm_evals.records import to_json
from lightllm_evals.results import PlannedCase
from lightllm_evals.runs.past_run import PastRun
from lightllm_evals.runs.serving_identity import lasting_settings, model_name
from lightllm_evals.runs.summary import Outcome, headline_part, outcome_of, summarize
from lightllm_evals.stats import Unit, score_of, unit_of


class Finished(NamedTuple):
    """A case and what came of it; None while nothing has."""

    case: PlannedCase
    outcome: Outcome | None


def run_scores(
    identity: Mapping[str, Any],
    cases: Iterable[Finished],
    *,
    planned: Mapping[str, int] | None = None,
    source: str = "",
) -> dict[str, RunScores]:
    """Returns the scores of a run by benchmark.

    Args:
        identity: What ``run.json`` has.
        cases: All planned cases; or all finished ones, and ``planned``.
        planned: How many cases each benchmark had, where ``cases`` may lack some.
        source: Where the run comes from, for messages.
    """
    by_benchmark: dict[str, list[Finished]] = defaultdict(list)
    for each in cases:
        by_benchmark[each.case.benchmark].append(each)
    return {
        name: _benchmark_scores(identity, found, (planned or {}).get(name, len(found)), source)
        for name, found in by_benchmark.items()
    }


def past_scores(run: PastRun) -> dict[str, RunScores]:
    """Returns the scores of a run on disk by benchmark.

    Raises:
        ConfigError: The run was killed, so that nobody knows how much is missing; or is damaged.
    """
    summary = run.summary
    if summary is None:
        raise ConfigError(
            f"{run.path} was not finished; finish it with --lightllm-resume={run.path.name}."
        )
    planned = {each["benchmark"]: int(each["planned"]) for each in summary["benchmarks"]}
    found = run_scores(
        run.identity,
        (Finished(result.case, outcome_of(result)) for result in run.results()),
        planned=planned,
        source=str(run.path),
    )
    if missing := sorted(planned.keys() - found.keys()):
        raise ConfigError(
            f"{run.path} has no results of {', '.join(missing)}; "
            f"finish it with --lightllm-resume={run.path.name}."
        )
    return found


def _benchmark_scores(
    identity: Mapping[str, Any], cases: list[Finished], planned: int, source: str
) -> RunScores:
    outcomes = [each.outcome for each in cases if each.outcome is not None]
    (summary,) = summarize([each.case for each in cases], outcomes)
    values = {name: estimate.value for name, estimate in summary.metrics.items()}
    return RunScores(
        identity=benchmark_identity(identity, cases[0].case),
        samples=_samples(cases),
        planned=planned,
        errors=Counter(outcome.outcome for outcome in outcomes)["error"],
        metric=cases[0].case.metric,
        aggregation=cases[0].case.aggregation,
        metrics={name: value for name, value in values.items() if value is not None},
        versions={
            name: version
            for name, version in (identity.get("versions") or {}).items()
            # A baseline is committed; a kernel's name says something of one machine only.
            if name != "platform"
        },
        date=str(identity.get("started", "")),
        source=source,
    )


def benchmark_identity(identity: Mapping[str, Any], case: PlannedCase) -> Identity:
    """Returns what the scores of a case's benchmark depend on in this run."""
    servers = identity.get("servers") or [{}]
    settings = identity.get("settings") or {}
    return Identity(
        benchmark=case.benchmark,
        variant=case.variant,
        dataset=case.fingerprint.get("dataset", ""),
        prompt=case.fingerprint.get("prompt", ""),
        postprocessing=case.fingerprint.get("postprocessing", ""),
        scorer=case.fingerprint.get("scorer", ""),
        params={"api": case.request.api, **to_json(case.request.params)},
        repeats=int(settings.get("repeats") or 1),
        model=model_name(identity),
        server={"kind": identity.get("kind"), "dialect": servers[0].get("dialect")},
        concurrency=identity.get("concurrency"),
        settings={
            "replicas": len(servers),
            "stream": bool(settings.get("stream")),
            **lasting_settings(servers[0].get("settings") or {}),
        },
    )


def _samples(cases: Iterable[Finished]) -> dict[str, SampleScores]:
    by_sample: dict[str, list[_Scored]] = defaultdict(list)
    for case, outcome in cases:
        if outcome is not None and outcome.outcome in {"passed", "failed"}:
            part = headline_part(case.metric, outcome)
            if part is not None:
                by_sample[case.sample].append(_Scored(case, outcome, *part))
    return {name: _sample(found) for name, found in by_sample.items()}


class _Scored(NamedTuple):
    case: PlannedCase
    outcome: Outcome
    value: float
    weight: float

    def score(self, unit: Unit) -> float:
        # What has no weight (a page without words) counts nothing, whatever its score.
        return score_of(self.value / self.weight, unit) if self.weight else 0.0


def _sample(found: list[_Scored]) -> SampleScores:
    found.sort(key=lambda each: each.case.repeat)
    first = found[0].case
    outcomes = [each.outcome for each in found]
    unit = unit_of(first.metric)
    is_recorded = any(first.metric in each.metrics for each in outcomes)
    return SampleScores(
        scores=tuple(each.score(unit) for each in found),
        weight=sum(each.weight for each in found) / len(found),
        group=first.group,
        num_failed=sum(o.outcome == "failed" for o in outcomes) if is_recorded else None,
        output_tokens=tuple(each.output_tokens for each in outcomes),
        latency_s=tuple(each.latency_s for each in outcomes if each.latency_s is not None),
        ttft_s=tuple(each.ttft_s for each in outcomes if each.ttft_s is not None),
        finish_reasons=tuple(each.finish_reason for each in outcomes),
        num_empty=sum(each.is_empty for each in outcomes),
        num_unextracted=sum(each.error == "ExtractionError" for each in outcomes),
        sample_hash=first.sample_hash,
        prompt_hash=first.prompt_hash,
    )
