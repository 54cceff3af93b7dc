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

    Attributes:
        folder: Where this project keeps its baselines.

    Raises:
        pytest.UsageError: What was asked for makes no sense.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = config.stash[SETTINGS]
        self.folder = config.rootpath / "fixtures" / "baselines"
        self._conditions: list[Condition] = []
        self._question: GateQuestion | None = None
        self._answer: GateAnswer | None = None
        self._nodeids: dict[tuple[str, str], list[str]] = {}
        self._condition_lines: list[str] = []
        self._is_met = True
        self._flaw = ""
        self._status = 0
        self._end = ""
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
        is_looked_for = self.folder.is_dir() and not settings.save_baseline
        self._question = gate_question(
            settings.gate,
            settings.baseline,
            self.folder if is_looked_for else None,
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

    def warnings(self, benchmarks: Sequence[str]) -> list[str]:
        """Returns what is wrong with the gate before the run, given what was collected."""
        if not self._conditions or self._settings.shard:
            return []
        from lightllm_evals.gate import hopeless  # noqa: PLC0415  # only where needed

        return hopeless(self._conditions, benchmarks, self._settings.repeats)

    def judge(
        self,
        run: Run,
        summaries: Sequence[BenchmarkSummary],
        own: int,
        *,
        flaw: str = "",
        without_data: Sequence[str] = (),
    ) -> int:
        """Makes up the verdict, tells JUnit and GitHub, and saves a baseline if asked to.

        A run with a ``flaw`` (results not written, cases not planned, other tests failed)
        passes nothing and is no baseline. Benchmarks ``without_data`` were skipped.

        Returns:
            What the process should end with: ``own``, pytest's status, where nothing was asked.
        """
        from lightllm_evals.reports.tables import verdict_lines  # noqa: PLC0415  # only with evals
        from lightllm_evals.runs.scores import run_scores  # noqa: PLC0415  # only with evals

        finished = run.finished()
        for case, _ in finished:
            self._nodeids.setdefault((case.benchmark, case.sample), []).append(case.nodeid)
        self._flaw = flaw
        if self._conditions:
            self._is_met, self._condition_lines = verdict_lines(self._conditions, summaries)
        runs = run_scores(run.identity, finished, source=str(run.directory.path))
        try:
            self._answer_question(runs, without_data)
            if not flaw:
                self._save(runs)
            elif self._settings.save_baseline:
                self._problems.append(f"No baseline was saved: {flaw}.")
        except HarnessError as error:
            self._problems.append(str(error))
        self._status = self._final_status(own)
        self._end = self._end_line(own)
        self._tell_junit()
        self._tell_github()
        return self._status

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
            paths = save_baselines(self._settings.save_baseline, self.folder, runs)
            self._remarks += [f"baseline saved: {path}" for path in paths]

    def _final_status(self, own: int) -> int:
        if own not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            return own
        result = self._answer.result if self._answer else None
        if self._problems:
            return NOTHING_JUDGED
        if result is None and not self._conditions:
            return own
        found = int(result.exit_status) if result else 0
        if found and self._is_met:
            return found
        return found if found == NOTHING_JUDGED else int(not self._is_met or bool(self._flaw))

    def _end_line(self, own: int) -> str:
        """Returns the last line where the process ends with another status than the verdict's."""
        result = self._answer.result if self._answer else None
        if result is not None:
            if self._status == int(result.exit_status):
                return ""
            word = result.verdict.value if int(result.exit_status) else "FAILED"
        elif self._conditions and self._is_met and self._status:
            word = "FAILED"
        else:
            return ""
        if own not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            reason = "pytest was stopped"
        elif self._problems:
            reason = self._problems[0]
        else:
            reason = self._flaw if self._is_met else "a condition of --lightllm-min does not hold"
        return f"gate: {word} (exit status {self._status}): {reason}"

    def data(self) -> dict[str, Any] | None:
        """Returns what ``summary.json`` has of the gate; None where nothing was asked."""
        found = self._answer.data() if self._answer else None
        if found is None and not self._conditions:
            return None
        if found and found["verdict"]:
            found["exit_status"] = self._status
        return {
            "passes": self._status == 0,
            "lines": [*self._condition_lines, *self._lines(), *self._problems],
            **(found or {}),
        }

    def write(self, terminal: Any) -> None:
        """Writes the verdict block."""
        for line in self._condition_lines:
            terminal.write_line(line)
        # Otherwise the last line tells.
        if self._conditions and not (self._is_met and self._end):
            word = "PASSES" if self._is_met else "FAILS"
            terminal.write_line(
                f"gate: {word}", bold=True, green=self._is_met, red=not self._is_met
            )
        *lines, last = self._lines() or [""]
        for line in lines:
            terminal.write_line(line)
        passes = "(exit status 0)" in last
        if last.startswith("gate: "):
            terminal.write_line(last, bold=True, green=passes, red=not passes)
        elif last:
            terminal.write_line(last)
        for line in self._remarks:
            terminal.write_line(line)
        for line in self._problems:
            terminal.write_line(f"ERROR: {line}", red=True)

    def _lines(self) -> list[str]:
        lines = self._answer.lines(self._rerun) if self._answer else []
        if not self._end:
            return lines
        is_verdict_last = self._answer is not None and self._answer.result is not None
        return [*(lines[:-1] if is_verdict_last else lines), self._end]

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
            for report in _junit_reports(verdict, self._rerun, self._end):
                xml.pytest_runtest_logreport(report)

    def _tell_github(self) -> None:
        from lightllm_evals.runs.gating import append_job_summary  # noqa: PLC0415  # only with evals

        if self._answer is not None and self._answer.result is not None:
            trouble = append_job_summary(self._answer.result, self._rerun, end=self._end)
            self._remarks += [trouble] if trouble else []


class _Reason:
    """A failure's headline and text, as JUnit reads them off a report."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.reprcrash = self
        self.message = lines[0]
        self._text = "\n".join(lines)

    def __str__(self) -> str:
        return self._text


def _junit_reports(verdict: BenchmarkVerdict, rerun: Any, end: str) -> list[pytest.TestReport]:
    """Returns the reports of a case ``lightllm-gate::<benchmark>``: its call and its end.

    Where the run ended otherwise than by its verdict, ``end`` says how, and no case passes.
    """
    from lightllm_evals.gate import benchmark_lines  # noqa: PLC0415  # only with evals

    lines = benchmark_lines(verdict, rerun)
    is_overruled = verdict.is_accepted and bool(end)
    properties: list[tuple[str, object]] = [
        ("verdict", "FAILED" if is_overruled else verdict.verdict.value),
        ("summary", end if is_overruled else lines[0]),
    ]
    if is_overruled:
        lines = [end, *lines]
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
        report("call", None if verdict.is_accepted and not end else _Reason(lines)),
        report("teardown", None),
    ]
