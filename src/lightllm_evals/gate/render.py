"""Verdicts as text for a terminal and as Markdown for a CI system's summary page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightllm_evals.gate.checks import Check, Verdict
from lightllm_evals.gate.comparison import PairedComparison
from lightllm_evals.gate.noise import Noise
from lightllm_evals.gate.verdicts import BenchmarkVerdict, GateResult
from lightllm_evals.stats import Interval, Unit, bare_text, change_text, change_unit, value_text

RerunCommand = Callable[[str, Sequence[str]], str]
"""Returns the command that reruns these samples of this benchmark."""

MOST_IDS = 20
"""Ids listed; more would hide the verdict."""


def verdict_lines(result: GateResult, rerun: RerunCommand | None = None) -> list[str]:
    """Returns the verdict block, a line an item, for the terminal; the last is the verdict."""
    lines = []
    for verdict in result.benchmarks:
        lines += benchmark_lines(verdict, rerun)
    lines.append(f"gate: {result.verdict.value} (exit status {int(result.exit_status)})")
    return lines


def benchmark_lines(verdict: BenchmarkVerdict, rerun: RerunCommand | None = None) -> list[str]:
    """Returns one benchmark's part of the verdict block; JUnit's case carries it too."""
    let_through = verdict.is_accepted and verdict.verdict is not Verdict.PASS
    accepted = " (passes by policy)" if let_through else ""
    lines = [f"{verdict.benchmark}: {verdict.verdict.value}{accepted}  {_headline(verdict)}"]
    if verdict.comparison:
        lines += [f"  {line}" for line in _comparison_lines(verdict.comparison)]
    lines += [f"  {_word(check)} {check.name}: {check.reason}" for check in verdict.checks]
    lines += [f"  note: {note}" for note in verdict.notes]
    if verdict.comparison and verdict.comparison.broken and rerun:
        lines.append(f"  rerun: {rerun(verdict.benchmark, verdict.comparison.broken)}")
    return lines


def verdict_markdown(
    result: GateResult, rerun: RerunCommand | None = None, *, end: str = ""
) -> str:
    """Returns the verdict as GitHub-flavoured Markdown: a table, then each broken sample.

    ``end`` is what the run ended with, where that is not the verdict.
    """
    rows = [
        "| benchmark | verdict | then | now | difference | broken / fixed | p | visible drop |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(verdict) for verdict in result.benchmarks),
    ]
    heading = _cell(end) if end else f"Gate: {result.verdict.value}"
    parts = [f"### {heading}", "\n".join(rows)]
    for verdict in result.benchmarks:
        parts += _details(verdict, rerun)
    return "\n\n".join(parts) + "\n"


def noise_lines(found: Noise) -> list[str]:
    """Returns what repetitions say about a benchmark's noise, a line an item."""
    scores = ", ".join(f"{100 * score:.1f}" for score in found.scores)
    word = "flipped" if found.is_binary else "changed"
    differ = f"; any two runs differ in {found.flip_rate:.2%}" if found.is_binary else ""
    needed = f"  one point would take {_count(found.needed_for_one_point)} samples"
    return [
        f"{found.benchmark}: {found.num_runs} runs of {found.num_samples} samples, "
        f"scores {scores} %",
        f"  {len(found.flipped)} samples {word} ({len(found.flipped) / found.num_samples:.2%})"
        f"{differ}",
        f"  smallest visible drop: {_visible(found.smallest_visible_drop)}",
        *([needed] if found.is_by_flips else []),
        f"  recommended: --lightllm-gate '{found.policy}'",
    ]


def _headline(verdict: BenchmarkVerdict) -> str:
    found = verdict.comparison
    if found and found.then.value is not None and found.now.value is not None:
        then = bare_text(found.then.value, found.unit, 1)
        return (
            f"{verdict.metric} {then} -> {value_text(found.now.value, found.unit, 1)}, "
            f"{change_text(found.difference.value or 0.0, found.unit)} {change_unit(found.unit)}"
            f"{_between(found.difference.interval, found.unit)}"
        )
    if verdict.score.value is None:
        return f"{verdict.metric} of nothing" if verdict.metric else "not run"
    interval, unit = verdict.score.interval, verdict.score.unit
    shown = ""
    if interval:
        shown = f" ({bare_text(interval.low, unit, 1)} to {bare_text(interval.high, unit, 1)})"
    return f"{verdict.metric} {value_text(verdict.score.value, unit, 1)}{shown}"


def _comparison_lines(found: PairedComparison) -> list[str]:
    broken, fixed = ("broken", "fixed") if found.is_binary else ("fell", "rose")
    lines = [
        f"{len(found.broken)} {broken}, {len(found.fixed)} {fixed} of {found.num_samples} samples",
        f"p {found.p_one_sided:.2g} one-sided, {found.p_two_sided:.2g} two-sided ({found.test})",
    ]
    lines += [
        f"{word}: {listed(ids)}"
        for word, ids in ((broken, found.broken), (fixed, found.fixed))
        if ids
    ]
    needed = ""
    if found.needed_for_tolerance is not None:
        tolerated = _visible(found.tolerance, found.unit)
        needed = f"; {tolerated} would take {found.needed_for_tolerance:,} samples"
    visible = _visible(found.smallest_visible_drop, found.unit)
    lines.append(f"smallest drop this run could see: {visible}{needed}")
    return lines


def listed(ids: Sequence[str]) -> str:
    """Returns ids separated by spaces, at most ``MOST_IDS`` of them and a count of the rest."""
    shown = " ".join(ids[:MOST_IDS])
    return f"{shown} and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else shown


def _word(check: Check) -> str:
    # What passed is set in small letters, so that the eye finds what did not.
    return "pass" if check.verdict is Verdict.PASS else check.verdict.value


def _row(verdict: BenchmarkVerdict) -> str:
    found = verdict.comparison
    cells = [_cell(verdict.benchmark), f"**{verdict.verdict.value}**"]
    if found:
        cells += [
            _value(found.then.value, found.unit),
            _value(found.now.value, found.unit),
            f"{change_text(found.difference.value or 0, found.unit)}"
            f"{'' if found.unit == 'share' else ' ' + change_unit(found.unit)}"
            f"{_between(found.difference.interval, found.unit)}",
            f"{len(found.broken)} / {len(found.fixed)}",
            f"{found.p_one_sided:.2g}",
            _visible(found.smallest_visible_drop, found.unit),
        ]
    else:
        now = _value(verdict.score.value, verdict.score.unit)
        cells += ["", now, "", "", "", ""]
    return f"| {' | '.join(cells)} |"


def _details(verdict: BenchmarkVerdict, rerun: RerunCommand | None) -> list[str]:
    parts = []
    failed = [check for check in verdict.checks if check.verdict is not Verdict.PASS]
    if failed:
        reasons = "\n".join(
            f"- {check.verdict.value} {_cell(check.name)}: {_cell(check.reason)}"
            for check in failed
        )
        parts.append(f"**{verdict.benchmark}**\n\n{reasons}")
    broken = verdict.comparison.broken if verdict.comparison else ()
    if broken:
        names = ", ".join(f"`{sample_id}`" for sample_id in broken[:MOST_IDS])
        more = f" and {len(broken) - MOST_IDS} more" if len(broken) > MOST_IDS else ""
        parts.append(f"Broken in {verdict.benchmark}: {names}{more}")
        if rerun:
            parts.append(f"```sh\n{rerun(verdict.benchmark, broken)}\n```")
    return parts


def _cell(text: str) -> str:
    # A pipe would end the table's cell, and an angle bracket start HTML.
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _value(value: float | None, unit: Unit) -> str:
    return "" if value is None else value_text(value, unit, 1).replace(" ", "")


def _between(interval: Interval | None, unit: Unit) -> str:
    if interval is None:
        return ""
    return f" ({change_text(interval.low, unit)} to {change_text(interval.high, unit)})"


def _visible(drop: float | None, unit: Unit = "share") -> str:
    return "none" if drop is None else f"{change_text(drop, unit, '')} {change_unit(unit)}"


def _count(number: int | None) -> str:
    return "more than can be had" if number is None else f"{number:,}"
