"""The gate of a pytest run: what it is held to, and where the verdict is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

from lightllm_evals.errors import HarnessError
from lightllm_evals.pytest_options import SETTINGS
from lightllm_evals.pytest_reports import rerun_of

if TYPE_CHECKING:
    # These bring scipy along: imported where a run has evals.
    from lightllm_evals.gate import BenchmarkVerdict, Condition, RunScores
    from lightllm_evals.runs.gating import GateAnswer, GateQuestion
    from lightllm_evals.runs.run import Run
    from lightllm_evals.runs.summary import BenchmarkSummary

NOTHING_JUDGED = 10  # GateStatus.NOT_JUDGED, without its import


class Gate:
    """Judges a run once it is over; short methods that the owner's hooks call.

    Raises:
        pytest.UsageError: What was asked for makes no sense.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = config.stash[SETTINGS]
        self._folder = config.rootpath / "fixtures" / "baselines"
        self._conditions: list[Condition] = []
        self._question: GateQuestion | None = None
        self._answer: GateAnswer | None = None
        self._nodeids: dict[tuple[str, str], list[str]] = {}
        self._condition_lines: list[str] = []
        self._is_met = True
        self._is_intact = True
        self._problems: list[str] = []
        self._remarks: list[str] = []
        settings = self._settings
        if settings.minimums or settings.gate or settings.baseline:
            try:
                self._prepare()
            except HarnessError as error:
                raise pytest.UsageError(str(error)) from error

    def _prepare(self) -> None:
        from lightllm_evals.gate import parse_min_condition  # noqa: PLC0415  # only where needed
        from lightllm_evals.runs.gating import gate_question  # noqa: PLC0415  # only where needed

        settings = self._settings
        self._conditions = [parse_min_condition(text) for text in settings.minimums]
        # A run that becomes the new baseline is not held to the old one unasked.
        is_looked_for = self._folder.is_dir() and not settings.save_baseline
        self._question = gate_question(
            settings.gate,
            settings.baseline,
            self._folder if is_looked_for else None,
            is_standing=not self._config.option.lightllm_gate,
        )

    def header(self, run: Run) -> list[str]:
        """Returns what to say before the run.

        Raises:
            HarnessError: A baseline cannot be read.
        """
        from lightllm_evals.runs.gating import candidate_lines  # noqa: PLC0415  # only with evals
        from lightllm_evals.runs.serving_identity import model_name  # noqa: PLC0415  # only with evals

        if self._question is None:
            self._prepare()
        assert self._question is not None
        if self._settings.shard:
            return ["a shard has no verdict of its own; `lightllm-evals merge` gives it"]
        lines = candidate_lines(self._question, model_name(run.identity))
        run.is_compared = len(lines) > len(self._question.policy.sections)
        return lines

    def judge(
        self,
        run: Run,
        summaries: Sequence[BenchmarkSummary],
        *,
        is_intact: bool,
        without_data: Sequence[str] = (),
    ) -> None:
        """Makes up the verdict, tells JUnit and GitHub, and saves a baseline if asked to.

        A run that is not intact (results not written, cases not planned, other tests failed)
        passes nothing and is no baseline. Benchmarks ``without_data`` were skipped.
        """
        from lightllm_evals.reports.tables import verdict_lines  # noqa: PLC0415  # only with evals
        from lightllm_evals.runs.scores import run_scores  # noqa: PLC0415  # only with evals

        finished = run.finished()
        for case, _ in finished:
            self._nodeids.setdefault((case.benchmark, case.sample), []).append(case.nodeid)
        self._is_intact = is_intact
        if self._conditions:
            self._is_met, self._condition_lines = verdict_lines(self._conditions, summaries)
        runs = run_scores(run.identity, finished, source=str(run.directory.path))
        try:
            self._answer_question(runs, without_data)
            if is_intact:
                self._save(runs)
            elif self._settings.save_baseline:
                self._problems.append("No baseline was saved: the run is not intact.")
        except HarnessError as error:
            self._problems.append(str(error))
        self._tell_junit()
        self._tell_github()

    def _answer_question(self, runs: dict[str, RunScores], without_data: Sequence[str]) -> None:
        from lightllm_evals.runs.gating import answer  # noqa: PLC0415  # only with evals

        if self._settings.shard or self._question is None:
            return
        planned: dict[str, set[str]] = {name: set() for name in runs}
        for name, sample in self._nodeids:
            planned[name].add(sample)
        self._answer = answer(self._question, runs, planned, without_data)

    def _save(self, runs: dict[str, RunScores]) -> None:
        from lightllm_evals.runs.gating import save_baselines  # noqa: PLC0415  # only with evals

        if self._settings.save_baseline:
            paths = save_baselines(self._settings.save_baseline, self._folder, runs)
            self._remarks += [f"baseline saved: {path}" for path in paths]

    def status(self, own: int, *, is_intact: bool) -> int:
        """Returns what the process should end with.

        Args:
            own: pytest's own status, which stands where nothing was asked.
            is_intact: Every result was written and no other test failed.
        """
        result = self._answer.result if self._answer else None
        if self._problems:
            return NOTHING_JUDGED
        if result is None and not self._conditions:
            return own
        found = int(result.exit_status) if result else 0
        if found and self._is_met:
            return found
        return found if found == NOTHING_JUDGED else int(not (self._is_met and is_intact))

    def data(self) -> dict[str, Any] | None:
        """Returns what ``summary.json`` has of the gate; None where nothing was asked."""
        found = self._answer.data() if self._answer else None
        if found is None and not self._conditions:
            return None
        is_accepted = (
            self._answer is None
            or self._answer.result is None
            or not int(self._answer.result.exit_status)
        )
        return {
            "passes": (is_accepted and self._is_met and self._is_intact and not self._problems),
            "lines": [*self._condition_lines, *self._lines(), *self._problems],
            **(found or {}),
        }

    def write(self, terminal: Any) -> None:
        """Writes the verdict block."""
        for line in self._condition_lines:
            terminal.write_line(line)
        if self._conditions:
            word = "PASSES" if self._is_met else "FAILS"
            terminal.write_line(
                f"gate: {word}", bold=True, green=self._is_met, red=not self._is_met
            )
        *lines, last = self._lines() or [""]
        for line in lines:
            terminal.write_line(line)
        passes = "exit status 0" in last
        if last.startswith("gate: "):
            terminal.write_line(last, bold=True, green=passes, red=not passes)
        elif last:
            terminal.write_line(last)
        for line in self._remarks:
            terminal.write_line(line)
        for line in self._problems:
            terminal.write_line(f"ERROR: {line}", red=True)

    def _lines(self) -> list[str]:
        return self._answer.lines(self._rerun) if self._answer else []

    def _rerun(self, benchmark: str, samples: Sequence[str]) -> str:
        from lightllm_evals.gate.render import MOST_IDS  # noqa: PLC0415  # only with evals

        shown = [
            nodeid
            for sample in samples[:MOST_IDS]
            for nodeid in self._nodeids.get((benchmark, sample), [])
        ]
        return rerun_of(self._config, shown)

    def _tell_junit(self) -> None:
        xml = self._config.stash.get(xml_key, None)
        result = self._answer.result if self._answer else None
        if xml is None or result is None:
            return
        for verdict in result.benchmarks:
            for report in _junit_reports(verdict, self._rerun):
                xml.pytest_runtest_logreport(report)

    def _tell_github(self) -> None:
        from lightllm_evals.runs.gating import append_job_summary  # noqa: PLC0415  # only with evals

        if self._answer is not None and self._answer.result is not None:
            trouble = append_job_summary(self._answer.result, self._rerun)
            self._remarks += [trouble] if trouble else []


class _Reason:
    """A failure's headline and text, as JUnit reads them off a report."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.reprcrash = self
        self.message = lines[0]
        self._text = "\n".join(lines)

    def __str__(self) -> str:
        return self._text


def _junit_reports(verdict: BenchmarkVerdict, rerun: Any) -> list[pytest.TestReport]:
    """Returns the reports of a case ``lightllm-gate::<benchmark>``: its call and its end."""
    from lightllm_evals.gate import benchmark_lines  # noqa: PLC0415  # only with evals

    lines = benchmark_lines(verdict, rerun)
    properties: list[tuple[str, object]] = [
        ("verdict", verdict.verdict.value),
        ("summary", lines[0]),
    ]
    if verdict.baseline:
        properties.append(("baseline", verdict.baseline))

    def report(when: Any, reason: _Reason | None) -> pytest.TestReport:
        return pytest.TestReport(
            nodeid=f"lightllm-gate::{verdict.benchmark}",
            location=("lightllm-gate", None, verdict.benchmark),
            keywords={},
            outcome="failed" if reason else "passed",
            longrepr=reason,  # type: ignore[arg-type]  # JUnit needs these two attributes of it
            when=when,
            user_properties=properties,
        )

    return [
        report("call", None if verdict.is_accepted else _Reason(lines)),
        report("teardown", None),
    ]
