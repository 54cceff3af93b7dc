"""The process that owns the run: opens it, writes it down, says how it came out.

Without xdist that is the only process, with xdist the controller.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightllm_evals.cases import Needs
from lightllm_evals.errors import HarnessError
from lightllm_evals.profiles import Profile
from lightllm_evals.pytest_cases import (
    EMPTY_SHARD,
    case_of,
    needs_of,
    options_of,
    planned_case,
    profile_of,
)
from lightllm_evals.pytest_errors import collapsed_errors
from lightllm_evals.pytest_fixtures import SOURCE
from lightllm_evals.pytest_gate import NOTHING_JUDGED, Gate
from lightllm_evals.pytest_options import SETTINGS
from lightllm_evals.pytest_progress import ProgressLine
from lightllm_evals.records import from_json
from lightllm_evals.results import CaseVerdict
from lightllm_evals.runs import lengths
from lightllm_evals.runs.opening import Opening
from lightllm_evals.settings import NO_BASELINE

if TYPE_CHECKING:
    # These bring requests, psutil and more along: imported where a run has evals.
    from lightllm_evals.runs.run import Run
    from lightllm_evals.runs.serving import Serving


class Owner:
    """Short hooks around one `Run`; does nothing until there is a case to run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = config.stash[SETTINGS]
        self._gate = Gate(config)
        self._needs = Needs()
        self._is_announced = False
        self._num_failed = 0
        self._num_other_failures = 0
        self._progress: ProgressLine | None = None
        self._opening: Opening[Run] = Opening(self.open_run)
        self._connecting: Opening[Serving] | None = None
        self._unsaid: list[str] = []
        self._is_empty_shard = False
        self._without_data: set[str] = set()
        self._last_words = ""
        if self._settings.profile:
            # A wrong name is said here, and not by every worker.
            profile_of(config)

    @property
    def run(self) -> Run | None:
        """The run, None while there is none."""
        return self._opening.opened

    # Opening.

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Makes this process a controller where xdist distributes."""
        if not self._config.pluginmanager.has_plugin("dsession"):
            return
        from lightllm_evals.pytest_workers import ControllerSide  # noqa: PLC0415  # needs xdist

        option = self._config.option
        if (option.lightllm_url or option.lightllm_model_dir) and not option.collectonly:
            # A sign of evals to come, and workers need a second to start: connect, import.
            if self._settings.urls and not self._settings.rescore:
                self._connecting = Opening(self._connect)
                self._connecting.begin()
            threading.Thread(target=_import_ahead, daemon=True).start()
        side = ControllerSide(self.open_run, self._note_needs, self._announce)
        self._opening = side.opening
        self._config.pluginmanager.register(side, "lightllm-controller")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Opens the run when the cases of this process are known, before the first one."""
        items = {item: case for item in session.items if (case := case_of(item)) is not None}
        if items and not self._config.option.collectonly:
            self._note_needs(needs_of(items))
            try:
                run = self._opening.wait()
            except HarnessError as error:
                raise pytest.UsageError(str(error)) from error
            self._announce(run)
            self._config.stash[SOURCE] = run
            try:
                run.plan(planned_case(item, case) for item, case in items.items())
            except HarnessError as error:
                # A later sample's prompt can be impossible where the first one's is not.
                raise pytest.UsageError(str(error)) from error
            run.is_plan_whole = True
        return (yield)

    def _note_needs(self, needs: Needs) -> None:
        self._needs |= needs

    def _connect(self) -> Serving:
        from lightllm_evals.runs.serving import open_serving  # noqa: PLC0415  # only with evals

        return open_serving(
            self._settings,
            profile_of(self._config),
            # Nothing is started, so nothing is logged.
            log_dir=self._config.invocation_params.dir,
            say=self._say_when_needed,
        )

    def open_run(self) -> Run:
        """Returns a run with its servers ready; called on a thread of its own.

        Raises:
            HarnessError: Something that the run needs is not to be had.
        """
        from lightllm_evals.runs.start import start_run  # noqa: PLC0415  # only runs with evals pay

        while self._unsaid:
            self._say(self._unsaid.pop(0))
        return start_run(
            self._settings,
            profile_of(self._config),
            below=self._config.invocation_params.dir,
            baselines=self._baselines(),
            needs=self._needs,
            in_order=not self._config.pluginmanager.has_plugin("dsession"),
            is_repeated=self._config.getoption("dist", "no") == "each",
            is_rerun=bool(self._config.getoption("lf", False))
            or bool(self._config.getoption("failedfirst", False)),
            connected=self._connecting.wait if self._connecting is not None else None,
            say=self._say,
        )

    def _baselines(self) -> Path | None:
        given = self._settings.baseline
        if given == "none":
            return None
        return Path(given) if given else self._gate.folder

    def _announce(self, run: Run) -> None:
        if self._is_announced:
            return
        self._is_announced = True
        profile = profile_of(self._config)
        for info in run.serving.infos:
            self._say(
                f"{info.url} ({run.serving.kind}, dialect {info.dialect}), model {info.model_name}"
            )
        self._say(_settings_line(run, profile))
        if profile and profile.limit and self._settings.limit is None and profile.limit < math.inf:
            self._say(
                f"the first {profile.limit:g} samples of every benchmark, as profile "
                f"{profile.name} says; --lightllm-limit all runs all of them"
            )
        if self._settings.repeats > 1 and not options_of(self._config).params.get("do_sample"):
            self._warn(
                f"all {self._settings.repeats} completions of a sample will be alike, since "
                "decoding is greedy; add --lightllm-param temperature=0.8 to sample"
            )
        for warning in (*run.serving.warnings, *self._gate.warnings(self._needs.benchmarks)):
            self._warn(warning)
        try:
            for line in self._gate.header(run):
                self._say(line)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        self._say(f"results in {run.directory.path}")
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._config.option.verbose >= 0:
            self._progress = ProgressLine(run, terminal)
            self._config.pluginmanager.register(self._progress, "lightllm-progress")

    def _say_when_needed(self, text: str) -> None:
        # A session without an eval has no interest in a server that does not answer.
        if self._opening.has_begun:
            self._say(text)
        else:
            self._unsaid.append(text)

    def _say(self, text: str) -> None:
        if self._config.option.verbose >= 0:
            self._write(text)

    def _warn(self, text: str) -> None:
        # Whoever wants it quiet still has to know that the run is not what was asked for.
        self._write(f"warning: {text}")

    def _write(self, text: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"lightllm: {text}")

    # Recording.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Writes down a case when its last report is here."""
        run = self.run
        if report.skipped and report.nodeid.endswith(f"[{EMPTY_SHARD}]"):
            self._is_empty_shard = True
        self._without_data |= {*getattr(report, "lightllm_without_data", "").split()}
        data = getattr(report, "lightllm", None)
        if run is not None and data is not None:
            run.record(report.nodeid, from_json(CaseVerdict, data))
        if report.failed:
            self._num_failed += 1
            if run is None or not _is_case(run, report):
                self._num_other_failures += 1
            maxfail = self._config.getvalue("maxfail")
            if run is not None and maxfail and self._num_failed >= maxfail:
                run.stop(f"the run stopped after {self._num_failed} failures")

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Counts modules that could not be collected: their cases are not in any score."""
        if report.failed:
            self._num_other_failures += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Ends generation and servers, writes the summary, applies the gate."""
        run = self.run
        if run is None:
            self._opening.abandon()
            if self._connecting is not None:
                self._connecting.abandon()
            if self._is_empty_shard and exitstatus == pytest.ExitCode.OK:
                session.exitstatus = self._leave_empty_run()
            if self._asks_in_vain(exitstatus):
                self._last_words = (
                    "a gate was asked for, and no sample was run: nothing was judged."
                )
                session.exitstatus = NOTHING_JUDGED
            return
        from lightllm_evals.runs.identity import summary_data  # noqa: PLC0415  # only with evals

        run.stop("the run has ended")
        if self._progress is not None:
            self._progress.close()
        summaries = run.summaries()
        flaw = self._flaw(run)
        own = exitstatus
        if own == pytest.ExitCode.OK and (flaw or not all(each.is_complete for each in summaries)):
            own = pytest.ExitCode.TESTS_FAILED
        session.exitstatus = self._gate.judge(
            run, summaries, int(own), flaw=flaw, without_data=sorted(self._without_data)
        )
        run.directory.write("summary.json", summary_data(run, summaries, gate=self._gate.data()))
        model_name = run.serving.infos[0].model_name if run.serving.infos else ""
        run.directory.write(lengths.FILE, lengths.lengths_data(model_name, run.output_tokens))
        run.close()

    def _flaw(self, run: Run) -> str:
        """Returns why the run passes no gate whatever its scores are, "" if nothing forbids it."""
        if self._num_other_failures:
            return f"{self._num_other_failures} tests or modules beside the samples failed"
        if run.directory.failure is not None:
            return "not all results could be written"
        return "" if run.is_plan_whole else "not every sample was planned"

    def _leave_empty_run(self) -> int:
        """Writes a run for ``merge``, and returns the exit status."""
        from lightllm_evals.runs.start import leave_empty_run  # noqa: PLC0415  # seldom needed

        below = self._config.invocation_params.dir
        try:
            path = leave_empty_run(self._settings, profile_of(self._config), below=below)
        except HarnessError as error:
            self._last_words = str(error)
            return NOTHING_JUDGED
        self._last_words = (
            f"shard {self._settings.shard} has none of the samples, so that nothing was asked; "
            f"`lightllm-evals merge` takes its run like any other: {path}"
        )
        return int(pytest.ExitCode.OK)

    def _asks_in_vain(self, exitstatus: int) -> bool:
        """Whether a gate was asked for on the command line and there was nothing to judge."""
        option = self._config.option
        # A shard has no verdict of its own, and one without a sample is as good as any.
        is_compared = option.lightllm_baseline not in {None, NO_BASELINE}
        is_judged = bool(option.lightllm_gate or is_compared) and not self._is_empty_shard
        is_asked = bool(option.lightllm_min) or is_judged
        is_over = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        return is_asked and is_over and not option.collectonly

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        """Makes sure that nothing of ours outlives pytest."""
        if self.run is not None:
            self.run.close()

    # The summary.

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Puts the table above the rows of pytest-html's report."""
        if self.run is not None:
            prefix.append(f"<pre>{escape(chr(10).join(_figure_lines(self.run)))}</pre>")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, object, object]:
        """Shows one error a cause, not one a case; then the table."""
        run = self.run
        if run is None:
            result = yield
            if self._last_words:
                terminalreporter.write_line(f"lightllm: {self._last_words}")
            return result
        with collapsed_errors(terminalreporter):
            result = yield
        self._write_table(terminalreporter, run)
        return result

    def _write_table(self, terminal: Any, run: Run) -> None:
        from lightllm_evals.reports.tables import cause_lines  # noqa: PLC0415  # only with evals

        terminal.section("lightllm evals", sep="=")
        for line in _figure_lines(run):
            terminal.write_line(line)
        ran = {summary.benchmark for summary in run.summaries()}
        if self._config.option.lightllm_variant and (unused := set(self._settings.variants) - ran):
            terminal.write_line(
                f"warning: --lightllm-variant names {', '.join(sorted(unused))}, which was not "
                f"run; this run has {', '.join(sorted(ran))}",
                yellow=True,
            )
        if run.causes:
            terminal.write_line("errors (these samples were not measured):")
            for line in cause_lines(run.causes):
                terminal.write_line(f"  {line}", red=True)
        if run.directory.failure:
            terminal.write_line(
                f"{run.directory.num_unwritten} results could not be written to "
                f"{run.directory.path}: {run.directory.failure}. Free some space and run again.",
                red=True,
            )
        if run.archive.failure:
            terminal.write_line(
                f"not all completions could be kept: {run.archive.failure}. "
                "They will be asked for again.",
                red=True,
            )
        if run.archive.num_found:
            terminal.write_line(
                f"{run.archive.num_found} completions were stored and not asked for again"
            )
        self._gate.write(terminal)
        terminal.write_line(f"results: {run.directory.path}")


def _figure_lines(run: Run) -> list[str]:
    from lightllm_evals.reports.tables import (  # noqa: PLC0415  # only with evals
        benchmark_lines,
        generation_line,
    )

    return [
        *(line for summary in run.summaries() for line in benchmark_lines(summary)),
        generation_line(run.progress(), run.wall_s),
    ]


def _import_ahead() -> None:
    import lightllm_evals.runs.start  # noqa: F401, PLC0415  # only for its effect


def _is_case(run: Run, report: pytest.TestReport) -> bool:
    return getattr(report, "lightllm_case", False) or run.has_planned(report.nodeid)


def _settings_line(run: Run, profile: Profile | None) -> str:
    sandbox = run.identity.get("sandbox")
    parts = [
        f"profile {profile.name}" if profile else "no profile",
        f"api {run.identity['api']}",
        f"{run.serving.concurrency} requests at once",
    ]
    if sandbox:
        unsafe = ", UNSAFE" if sandbox["is_unsafe"] else ""
        parts.append(f"sandbox level {sandbox['level']} ({sandbox['name']}{unsafe})")
    return ", ".join(parts)
