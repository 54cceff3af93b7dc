"""Which baseline a run is compared with, and what the gate says then."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import (
    BenchmarkPolicy,
    GateResult,
    Policy,
    RunScores,
    judge,
    parse_policy,
    verdict_lines,
    verdict_markdown,
)
from lightllm_evals.gate.identity import score_differences, search_differences
from lightllm_evals.gate.render import RerunCommand
from lightllm_evals.records import to_json
from lightllm_evals.runs.baseline import baseline_path, find_baseline, load_baseline, save_baseline
from lightllm_evals.settings import DEFAULT_PLACE, NO_BASELINE

# Whoever names a baseline wants to be told when there is none to compare with.
_COMPARED = "drop<=2"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateQuestion:
    """What the user wants to know of a run.

    Attributes:
        policy: What it has to meet.
        given: The baselines that were named: a file, a folder, "none"; None looks for one.
        folder: Where baselines are looked for unasked; None for nowhere.
        is_asked: A policy or a baseline was given: there is a verdict in any case.
        is_all_asked: Every section of the policy has to hold for a benchmark that was run.
    """

    policy: Policy
    given: str | None
    folder: Path | None
    is_asked: bool
    is_all_asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """The gate's word on a run.

    Attributes:
        result: The verdicts; None where nothing was asked and no baseline fits.
        notes: What a reader should know of baselines that were not used.
    """

    result: GateResult | None
    notes: tuple[str, ...] = ()

    def lines(self, rerun: RerunCommand | None = None) -> list[str]:
        """Returns the verdict block; the verdict itself is the last line, if there is one."""
        notes = [f"note: {note}" for note in self.notes]
        return notes + (verdict_lines(self.result, rerun) if self.result else [])

    def data(self) -> dict[str, Any] | None:
        """Returns what ``summary.json`` has of it."""
        if self.result is None:
            return {"verdict": None, "notes": list(self.notes)} if self.notes else None
        return {
            **to_json(self.result),
            "exit_status": int(self.result.exit_status),
            "notes": list(self.notes),
        }


def gate_question(
    policies: tuple[str, ...], given: str | None, folder: Path | None, *, is_standing: bool = False
) -> GateQuestion:
    """Returns what options and ini keys ask for.

    A standing policy, of an ini key, is also there when only some of its benchmarks are run;
    and one that only says how to judge asks for no verdict where there is no baseline.

    Raises:
        ConfigError: A policy is malformed, or the baseline that was named is not there.
    """
    if given not in {None, NO_BASELINE} and not Path(str(given)).exists():
        raise ConfigError(
            f"There is no baseline {given}; make one with --lightllm-save-baseline, "
            f"or compare with nothing: --lightllm-baseline={NO_BASELINE}."
        )
    is_named = given is not None and given != NO_BASELINE
    if is_named and Path(str(given)).is_file():
        # Found out now, not after hours.
        load_baseline(Path(str(given)))
    texts = [_COMPARED, *policies] if is_named else list(policies)
    policy = dataclasses.replace(parse_policy("\n".join(texts)), is_asked=not is_standing)
    return GateQuestion(
        policy=policy,
        given=given,
        folder=folder,
        is_asked=is_named or (policy.is_demanding if is_standing else bool(policies)),
        is_all_asked=not is_standing,
    )


def candidate_lines(question: GateQuestion, model: str) -> list[str]:
    """Returns what to say before the run: the policy, and the model's baselines.

    Raises:
        ConfigError: A baseline cannot be read.
    """
    lines = [
        f"gate policy: {name}: {', '.join(items)}" for name, items in question.policy.sections
    ]
    if question.given == NO_BASELINE:
        return lines
    if question.given is not None and Path(question.given).is_file():
        return [*lines, f"baseline: {question.given}"]
    folder = question.folder if question.given is None else Path(question.given)
    for path in sorted(folder.glob("**/*.json")) if folder else ():
        found = load_baseline(path)
        if found.identity.model == model:
            lines.append(
                f"baseline of {found.identity.benchmark}: {path}, {len(found.samples)} samples, "
                f"{found.date[:10]}; used if prompts, parameters and samples are the same"
            )
    return lines


def answer(
    question: GateQuestion,
    runs: Mapping[str, RunScores],
    planned: Mapping[str, set[str]],
    without_data: Collection[str] = (),
) -> GateAnswer:
    """Returns the gate's word.

    Args:
        question: What is asked.
        runs: The run's scores by benchmark.
        planned: Ids of the samples that were to be scored, by benchmark.
        without_data: Benchmarks that were skipped since their data are missing.

    Raises:
        ConfigError: A baseline cannot be read.
    """
    baselines: dict[str, RunScores] = {}
    notes: list[str] = []
    if question.given == NO_BASELINE:
        pass
    elif question.given is not None and Path(question.given).is_file():
        found = load_baseline(Path(question.given))
        name = found.identity.benchmark
        # Of another benchmark only: then let the verdict say so.
        baselines = {name: found} if name in runs else dict.fromkeys(runs, found)
    elif question.given is not None or question.folder is not None:
        folder = Path(question.given) if question.given is not None else question.folder
        assert folder is not None
        for name, run in runs.items():
            baseline, note = _look_up(folder, run, planned[name], question)
            notes += [note] if note else []
            if baseline is not None:
                baselines[name] = baseline
        if question.given is not None:
            notes += _skipped_notes(folder, runs, without_data)
    is_gated = bool(runs) and (question.is_asked or bool(baselines))
    result = None
    if is_gated:
        is_all_asked = question.is_all_asked
        result = judge(runs, baselines, question.policy, is_all_asked=is_all_asked)
    return GateAnswer(result=result, notes=tuple(notes))


def _skipped_notes(
    folder: Path, runs: Mapping[str, RunScores], without_data: Collection[str]
) -> list[str]:
    """Returns a note a benchmark that a named folder has a baseline of and that was skipped."""
    models = {run.identity.model for run in runs.values()}
    notes = []
    for path in sorted(folder.glob("**/*.json")) if without_data else ():
        identity = load_baseline(path).identity
        if identity.benchmark in without_data and identity.model in models:
            notes.append(
                f"{identity.benchmark} was not compared with {path}: "
                "it was skipped, since its data are missing"
            )
    return notes


def _look_up(
    folder: Path, run: RunScores, planned: set[str], question: GateQuestion
) -> tuple[RunScores | None, str]:
    """Returns the baseline of a run in a folder, and a note if there is none to be used."""
    name = run.identity.benchmark
    policy = question.policy.for_benchmark(name)
    search = find_baseline(folder, run.identity)
    if search.found is not None:
        reason = _misfit(search.found, planned, policy)
        if not reason or policy.needs_baseline:
            return search.found, ""
        return None, f"{name} was not compared with {search.found.source}: {reason}"
    why = "; ".join(search.misfits) or f"{folder} has none of model {run.identity.model}"
    if policy.needs_baseline and search.nearest is not None:
        nearest = search.nearest
        if score_differences(nearest.identity, run.identity):
            return nearest, f"no baseline of {name} fits: {why}"
        # Means are comparable; only their noise is not the same.
        differences = search_differences(nearest.identity, run.identity)
        return nearest, (
            f"{name} is compared by its samples' means with {nearest.source}, "
            f"which differs in {'; '.join(map(str, differences))}"
        )
    is_worth_a_word = bool(search.misfits) or question.is_asked
    return None, f"no baseline of {name}: {why}" if is_worth_a_word else ""


def _misfit(found: RunScores, planned: set[str], policy: BenchmarkPolicy) -> str:
    """Returns why a baseline of the same settings is not the one of this run; "" if it is."""
    if policy.is_common_enough or found.samples.keys() == planned:
        return ""
    return f"it has {len(found.samples)} samples and this run {len(planned)}"


def append_job_summary(
    result: GateResult, rerun: RerunCommand | None = None, *, end: str = ""
) -> str:
    """Adds the verdict to the page of a GitHub Actions job; returns what went wrong, if anything.

    ``end`` is what the run ended with, where that is not the verdict.

    Source: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(verdict_markdown(result, rerun, end=end))
    except OSError as error:
        return f"the job summary {path} cannot be written: {error.strerror or error}"
    return ""


def save_baselines(where: str, folder: Path, runs: Mapping[str, RunScores]) -> list[Path]:
    """Saves a run's benchmarks as baselines and returns the files.

    Args:
        where: A file, or "default" for each benchmark's place in ``folder``.
        folder: Where baselines are kept.
        runs: Scores by benchmark.

    Raises:
        ConfigError: One is incomplete, or would replace a larger baseline or one of another
            variant unasked (then none is saved); or a file cannot be written.
    """
    if where != DEFAULT_PLACE and len(runs) != 1:
        raise ConfigError(
            f"{where} can hold one baseline and {len(runs)} benchmarks were run "
            f"({', '.join(runs) or 'none'}); write --lightllm-save-baseline={DEFAULT_PLACE}."
        )
    for run in runs.values():
        if not run.is_complete:
            raise ConfigError(
                f"{run.identity.benchmark} is incomplete ({run.scored} of {run.planned} scored) "
                "and no baseline was saved; finish the run with --lightllm-resume."
            )
    if where != DEFAULT_PLACE:
        places = {Path(where): run for run in runs.values()}
    else:
        places = {baseline_path(folder, run.identity): run for run in runs.values()}
        for path, run in places.items():
            _check_replaceable(path, run)
    for path, run in places.items():
        save_baseline(path, run)
    return list(places)


def _check_replaceable(path: Path, run: RunScores) -> None:
    """Refuses to lose a baseline that a smaller run, or one of another form, does not renew."""
    if not path.exists():
        return
    then = load_baseline(path)
    before, after = then.identity.variant, run.identity.variant
    if len(then.samples) > len(run.samples) or before != after:
        raise ConfigError(
            f"{path} has {len(then.samples)} samples of variant {before!r}, this run has "
            f"{len(run.samples)} of {after!r}, and no baseline was saved; "
            f"to replace it name it: --lightllm-save-baseline={path}."
        )
