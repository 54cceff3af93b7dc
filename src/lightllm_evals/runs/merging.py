"""Several runs, each of a part of the samples, as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import RunScores, fold_differences
from lightllm_evals.results import CaseResult
from lightllm_evals.runs.directory import RunDirectory
from lightllm_evals.runs.identity import benchmark_figures
from lightllm_evals.runs.past_run import PastRun
from lightllm_evals.runs.scores import Finished, benchmark_identity, run_scores
from lightllm_evals.runs.summary import outcome_of, summarize
from lightllm_evals.shard import Shard, parse_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRun:
    """The runs of several jobs, put together.

    Attributes:
        identity: What ``run.json`` of the whole has.
        results: All cases.
        scores: Scores by benchmark.
        samples: Ids of the samples planned, by benchmark.
        gaps: What is missing, as sentences; () where nothing is.
    """

    identity: Mapping[str, Any]
    results: tuple[CaseResult, ...]
    scores: Mapping[str, RunScores]
    samples: Mapping[str, set[str]]
    gaps: tuple[str, ...]


def merge_runs(runs: Sequence[PastRun]) -> MergedRun:
    """Returns runs as one.

    Raises:
        ConfigError: One was not finished; two share a case; or they differ in what scores
            depend on.
    """
    planned: dict[str, int] = defaultdict(int)
    results: dict[str, tuple[PastRun, CaseResult]] = {}
    for run in runs:
        summary = run.summary
        if summary is None:
            raise ConfigError(
                f"{run.path} was not finished; finish it with "
                f"--lightllm-resume={run.path.name}, then merge."
            )
        for each in summary["benchmarks"]:
            planned[each["benchmark"]] += int(each["planned"])
        for result in run.results():
            _check_new(run, result, results)
            results[result.case.nodeid] = (run, result)
    _check_alike(list(results.values()))
    identity = _identity(runs)
    cases = tuple(result for _, result in results.values())
    samples: dict[str, set[str]] = defaultdict(set)
    for result in cases:
        samples[result.case.benchmark].add(result.case.sample)
    scores = run_scores(
        identity,
        [Finished(result.case, outcome_of(result)) for result in cases],
        planned=planned,
        source=" + ".join(run.path.name for run in runs),
    )
    gaps = [] if _is_whole(cases, planned) else _gaps([_shard(run) for run in runs])
    # Of a benchmark without any result there is nothing to judge that could be incomplete.
    lost = [
        f"{name}: 0 of {count} scored"
        for name, count in planned.items()
        if count and name not in scores
    ]
    return MergedRun(
        identity=identity,
        results=cases,
        scores=scores,
        samples=samples,
        gaps=(*gaps, *lost),
    )


def _check_new(
    run: PastRun, result: CaseResult, results: Mapping[str, tuple[PastRun, CaseResult]]
) -> None:
    if result.case.nodeid in results:
        other, _ = results[result.case.nodeid]
        raise ConfigError(
            f"{run.path.name} and {other.path.name} both have {result.case.nodeid}; "
            "merge runs of different samples. For repetitions of a run there is "
            "`lightllm-evals noise`."
        )


def _check_alike(results: Sequence[tuple[PastRun, CaseResult]]) -> None:
    first: dict[str, tuple[PastRun, CaseResult]] = {}
    seen: set[tuple[str, Path]] = set()
    for run, result in results:
        name = result.case.benchmark
        if (name, run.path) in seen:
            continue
        seen.add((name, run.path))
        other, its = first.setdefault(name, (run, result))
        differences = fold_differences(
            benchmark_identity(other.identity, its.case),
            benchmark_identity(run.identity, result.case),
        )
        if differences:
            raise ConfigError(
                f"{run.path.name} is not of the same run as {other.path.name}, it differs in "
                f"{'; '.join(map(str, differences))}."
            )


def _shard(run: PastRun) -> Shard | None:
    text = (run.identity.get("settings") or {}).get("shard")
    return parse_shard(text) if text else None


def _is_whole(cases: Sequence[CaseResult], planned: Mapping[str, int]) -> bool:
    # Whole is whole, whatever shards there were.
    totals = {
        result.case.benchmark: result.case.num_samples_total * (1 + result.case.repeat)
        for result in sorted(cases, key=lambda result: result.case.repeat)
    }
    return totals == planned


def _gaps(shards: Sequence[Shard | None]) -> list[str]:
    known = [shard for shard in shards if shard is not None]
    if not known:
        return []
    counts = {shard.of for shard in known}
    if len(counts) > 1:
        listed = ", ".join(map(str, known))
        raise ConfigError(f"The runs are shards of different divisions: {listed}.")
    (count,) = counts
    missing = sorted(set(range(1, count + 1)) - {shard.number for shard in known})
    return [f"no run of shard {number}/{count}" for number in missing]


def _identity(runs: Sequence[PastRun]) -> dict[str, Any]:
    # The run of a shard without a sample had no server.
    served = [run for run in runs if run.identity.get("servers")]
    first = dict((served or runs)[0].identity)
    first.pop("schema", None)
    first["settings"] = {**first["settings"], "shard": None}
    first["merged"] = [run.path.name for run in runs]
    return first


def write_merged(path: Path, merged: MergedRun) -> None:
    """Writes a merged run as any other, but for its completions' keys: it is not resumed.

    Raises:
        ConfigError: There is a run already, or the folder cannot be written.
    """
    if (path / "run.json").exists():
        raise ConfigError(f"{path} holds a run already; choose another folder.")
    directory = RunDirectory(path)
    try:
        directory.begin(merged.identity)
        for result in merged.results:
            directory.append(result)
        summaries = summarize(
            [result.case for result in merged.results],
            [outcome_of(result) for result in merged.results],
        )
        directory.write(
            "summary.json",
            {
                **merged.identity,
                "benchmarks": [
                    {
                        **benchmark_figures(summary),
                        "planned": merged.scores[summary.benchmark].planned,
                    }
                    for summary in summaries
                ],
                "gaps": list(merged.gaps),
            },
        )
    finally:
        directory.close()
    if directory.failure:
        raise ConfigError(f"The merged run could not be written to {path}: {directory.failure}.")
