"""Commands over runs and baselines on disk: compare, merge, noise."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import GateStatus, RunScores, fold, judge, noise, noise_lines
from lightllm_evals.gate.policy import parse_policy
from lightllm_evals.gate.render import verdict_lines
from lightllm_evals.runs.baseline import load_baseline
from lightllm_evals.runs.gating import answer, append_job_summary, gate_question, save_baselines
from lightllm_evals.runs.merging import MergedRun, merge_runs, write_merged
from lightllm_evals.runs.past_run import find_run, runs_below
from lightllm_evals.runs.scores import past_scores
from lightllm_evals.settings import DEFAULT_PLACE
from lightllm_evals.stats import value_text

RUN_HELP = "a run's folder, or its name under .lightllm-evals/runs"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the commands and their options."""
    compare = commands.add_parser("compare", help="judge run B against run or baseline A")
    compare.add_argument("then", metavar="A", help=f"{RUN_HELP}; or a baseline file")
    compare.add_argument("now", metavar="B", help="the same, to be judged")
    _add_gate(compare)
    compare.set_defaults(run=compare_command)
    merge = commands.add_parser(
        "merge", help="put the runs of shards together and judge the whole"
    )
    merge.add_argument("runs", metavar="RUN", nargs="+", help=RUN_HELP)
    merge.add_argument("--output", metavar="DIR", help="write the merged run there")
    merge.add_argument("--baseline", metavar="FILE|DIR|none", help="compare with this baseline")
    _add_gate(merge)
    _add_save(merge)
    merge.set_defaults(run=merge_command)
    noisy = commands.add_parser("noise", help="how much repetitions of a run differ")
    noisy.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN_HELP}; or a baseline file")
    _add_save(noisy)
    noisy.set_defaults(run=noise_command)


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gate", metavar="POLICY", action="append", default=[], help="as --lightllm-gate"
    )


def _add_save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--save-baseline",
        metavar="FILE",
        nargs="?",
        const=DEFAULT_PLACE,
        help="save the result as a baseline; without FILE under fixtures/baselines/",
    )


def compare_command(options: argparse.Namespace) -> int:
    """Judges one run against another and returns the gate's status."""
    then, now = _scores(options.then), _scores(options.now)
    if not then.keys() & now.keys():
        raise ConfigError(
            f"{options.then} has {', '.join(then)} and {options.now} has {', '.join(now)}: "
            "they share no benchmark."
        )
    for name in sorted(then.keys() ^ now.keys()):
        _print([f"note: only one of them has {name}"])
    result = judge(
        {name: run for name, run in now.items() if name in then},
        then,
        # Who compares wants to hear of a drop, whatever else the policy says.
        parse_policy("\n".join(["drop<=2", *options.gate])),
        is_all_asked=True,
    )
    _print(verdict_lines(result))
    return int(result.exit_status)


def merge_command(options: argparse.Namespace) -> int:
    """Puts shards together and returns the gate's status on the whole."""
    folder = _baselines()
    question = gate_question(
        tuple(options.gate), options.baseline, None if options.save_baseline else folder
    )
    merged = merge_runs([find_run(text, runs_below(Path())) for text in options.runs])
    _print(_merged_lines(merged))
    if options.output:
        write_merged(Path(options.output), merged)
        _print([f"merged run: {options.output}"])
    gaps = merged.gaps or (() if merged.scores else ("none of the runs has a sample",))
    if gaps:
        _print([f"INCOMPLETE: {gap}" for gap in gaps])
        return int(GateStatus.NOT_JUDGED)
    found = answer(question, merged.scores, merged.samples)
    _print(found.lines())
    if found.result is not None and (trouble := append_job_summary(found.result)):
        _print([trouble])
    _save(options.save_baseline, merged.scores)
    if found.result is not None:
        return int(found.result.exit_status)
    is_complete = all(run.is_complete for run in merged.scores.values())
    return int(GateStatus.PASS if is_complete else GateStatus.NOT_JUDGED)


def _merged_lines(merged: MergedRun) -> list[str]:
    return [
        f"{name}: {run.scored} of {run.planned} scored, {run.errors} errors; "
        f"{run.metric} {value_text(run.headline().value or 0.0, run.unit)}"
        for name, run in merged.scores.items()
    ]


def noise_command(options: argparse.Namespace) -> int:
    """Says how much repetitions differ."""
    runs = [_scores(text) for text in options.runs]
    names = list(dict.fromkeys(name for run in runs for name in run))
    folded = {}
    for name in names:
        having = [run[name] for run in runs if name in run]
        folded[name] = fold(having)
        if folded[name].unit != "share":
            _print(
                [
                    f"{name}: its {folded[name].metric} is no share, so that no sample flips; "
                    "`lightllm-evals compare RUN RUN` shows how far two runs are apart"
                ]
            )
            continue
        _print(noise_lines(noise(having)))
    _save(options.save_baseline, folded)
    return int(GateStatus.PASS)


def _scores(text: str) -> dict[str, RunScores]:
    """Returns the scores in a run's folder or in a baseline's file, by benchmark."""
    if Path(text).is_file():
        found = load_baseline(Path(text))
        return {found.identity.benchmark: found}
    return past_scores(find_run(text, runs_below(Path())))


def _save(where: str | None, runs: Mapping[str, RunScores]) -> None:
    if where is not None:
        paths = save_baselines(where, _baselines(), runs)
        _print([f"baseline saved: {path}" for path in paths])


def _baselines() -> Path:
    return Path("fixtures") / "baselines"


def _print(lines: Iterable[str] | Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
