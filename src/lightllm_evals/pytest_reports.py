"""From what a case did to what its reports say, and to what the owner of the run records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import lightllm_evals
from lightllm_evals.cases import Case
from lightllm_evals.errors import HarnessError
from lightllm_evals.excerpt import head, likelihood_lines, tail
from lightllm_evals.pytest_cases import (
    COMPLETION,
    METRICS,
    THOUGHT,
    VERDICT,
    case_of,
    request_of,
    without_data,
)
from lightllm_evals.pytest_options import FLAGS
from lightllm_evals.records import SCORED, Request, to_json
from lightllm_evals.rerun import rerun_command
from lightllm_evals.results import CaseOutcome, CaseVerdict
from lightllm_evals.scoring import ExtractionError

_OUTCOME = pytest.StashKey[CaseVerdict]()

_PROMPT_END = 1200


def annotate(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Makes a case's report say what a person needs, and what the owner of the run records.

    Only an assertion that does not hold, while the test runs, is a wrong answer. Anything else
    that goes wrong was not measured: it becomes an error, whichever phase it happened in.
    """
    case = case_of(item)
    if case is None:
        if benchmark := without_data(item):
            report.lightllm_without_data = benchmark  # type: ignore[attr-defined]  # our own
        return
    # The plan with this case may reach the owner later than its reports.
    report.lightllm_case = True  # type: ignore[attr-defined]  # our own addition
    if report.when == "setup":
        _annotate_setup(item, call, report)
    elif report.when == "call":
        _annotate_call(item, case, call, report)
    else:
        _annotate_teardown(item, call, report)


def _annotate_setup(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    completion = item.stash.get(COMPLETION, None)
    # The sample's own time: not what it waited for others in a queue.
    report.duration = completion.latency_s if completion else 0.0
    if report.skipped:
        item.stash[_OUTCOME] = CaseVerdict(outcome="skipped")
    elif report.failed:
        _mark_error(item, call, report)
        _add_properties(item, report)


def _is_wrong_answer(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether the eval itself says that the answer is wrong.

    A failed assertion inside the harness, or a ``pytest.fail`` by another plugin (a timeout),
    says nothing about the answer.
    """
    paths = [Path(entry.path) for entry in excinfo.traceback]
    raised_in = next((path for path in reversed(paths) if "_pytest" not in path.parts), item.path)
    if isinstance(excinfo.value, pytest.fail.Exception):
        return raised_in == item.path
    if isinstance(excinfo.value, ExtractionError):
        return True
    package = Path(lightllm_evals.__file__).parent
    is_harness = package in raised_in.parents
    return isinstance(excinfo.value, AssertionError) and not is_harness


def _annotate_call(
    item: pytest.Item, case: Case, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    error = call.excinfo.value if call.excinfo else None
    if report.skipped:
        item.stash[_OUTCOME] = CaseVerdict(outcome="skipped")
    elif report.failed and call.excinfo and not _is_wrong_answer(item, call.excinfo):
        _mark_error(item, call, report)
        _show_completion(item, case, report)
        # pytest calls it an error, and every report with it, when it happens in the set-up.
        report.when = "setup"
    else:
        detail = _first_paragraph(error) if report.failed else ""
        item.stash[_OUTCOME] = _verdict(
            item, "failed" if report.failed else "passed", detail, error, report.duration
        )
        if report.failed and error is not None:
            _show_wrong_answer(item, case, error, detail, report)
        elif item.config.getoption("htmlpath", None):
            _show_completion(item, case, report)
    _add_properties(item, report)


def _annotate_teardown(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    if report.failed:
        _mark_error(item, call, report)
    report.duration = 0.0
    verdict = item.stash.get(_OUTCOME, CaseVerdict(outcome="error", detail="the case never ran"))
    # Plain data: xdist ships a report's attributes to the controller.
    report.lightllm = to_json(verdict)  # type: ignore[attr-defined]  # our own addition


def _mark_error(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    error = call.excinfo.value if call.excinfo else None
    detail = str(error) or type(error).__name__
    if isinstance(error, HarnessError):
        # One clear sentence; a traceback through the harness says nothing more.
        report.longrepr = detail
    item.stash[_OUTCOME] = _verdict(item, "error", detail, error, 0.0)


def _verdict(
    item: pytest.Item,
    outcome: CaseOutcome,
    detail: str,
    error: BaseException | None,
    scoring_s: float,
) -> CaseVerdict:
    verdict = item.stash.get(VERDICT, None)
    thought = item.stash.get(THOUGHT, None)
    return CaseVerdict(
        outcome=outcome,
        detail=detail,
        error=type(error).__name__ if error else "",
        verdict=to_json(verdict) if verdict is not None else {},
        metrics=item.stash.get(METRICS, {}),
        scoring_s=scoring_s,
        worker=getattr(item.config, "workerinput", {}).get("workerid", ""),
        num_think_blocks=thought.num_blocks if thought else None,
        is_think_unclosed=thought is not None and thought.is_unclosed,
    )


def _show_wrong_answer(
    item: pytest.Item,
    case: Case,
    error: BaseException,
    detail: str,
    report: pytest.TestReport,
) -> None:
    if item.config.getoption("tbstyle") == "auto":
        # A subclass of AssertionError may not take one text.
        kind = AssertionError if isinstance(error, AssertionError) else pytest.fail.Exception
        shown = kind(head(detail))
        shown.__traceback__ = error.__traceback__
        report.longrepr = pytest.ExceptionInfo.from_exception(shown).getrepr(
            style="short",
            # Without pytest's own frames: to show them costs half a second a case.
            tbfilter=lambda info: info.traceback.cut(path=item.path),
        )
    _show_completion(item, case, report)
    report.sections.append(("lightllm verdict", head(detail)))
    report.sections.append(("lightllm rerun", rerun_of(item.config, [item.nodeid])))


def _show_completion(item: pytest.Item, case: Case, report: pytest.TestReport) -> None:
    completion = item.stash.get(COMPLETION, None)
    if completion is None:
        return
    request = request_of(item, case)
    report.sections.append(("lightllm prompt (end)", _prompt_end(request)))
    if completion.finish_reason == SCORED:
        title = f"lightllm likelihoods ({request.scoring}, {completion.latency_s:.2f} s)"
        text = likelihood_lines(request.choices, completion.likelihoods)
    else:
        title = (
            f"lightllm completion ({completion.finish_reason}, {completion.output_tokens} tokens, "
            f"{completion.latency_s:.2f} s)"
        )
        text = completion.text
    report.sections.append((title, head(text)))


def _prompt_end(request: Request) -> str:
    if request.messages:
        text = "\n".join(f"{turn.role}: {turn.content}" for turn in request.messages)
    else:
        text = request.prompt
    return tail(text, _PROMPT_END)


def _first_paragraph(error: BaseException | None) -> str:
    # pytest's rewriting appends how the assertion came to be false, repr by repr. A model's
    # text before it may have asserts of its own.
    text = str(error)
    before, _, _ = text.rpartition("\nassert ")
    return before or text or type(error).__name__


def rerun_of(config: pytest.Config, nodeids: Sequence[str]) -> str:
    """Returns the one command that runs just these cases again, with the same options."""
    args = [str(arg) for arg in config.invocation_params.args]
    # Node ids begin at the root directory, paths on a command line where one stands.
    here = config.invocation_params.dir
    names = []
    for nodeid in nodeids:
        path, colons, name = nodeid.partition("::")
        names.append(os.path.relpath(config.rootpath / path, here) + colons + name)
    return rerun_command(names, args, flags=FLAGS)


def _add_properties(item: pytest.Item, report: pytest.TestReport) -> None:
    """Adds what JUnit shows of a case."""
    completion = item.stash.get(COMPLETION, None)
    verdict = item.stash[_OUTCOME]
    properties: list[tuple[str, object]] = [("outcome", verdict.outcome)]
    if verdict.verdict:
        properties += [
            ("verdict", verdict.verdict.get("status", "")),
            ("isolation", verdict.verdict.get("isolation", "")),
            ("integrity", verdict.verdict.get("integrity", "")),
        ]
    if completion is not None:
        properties += [
            ("latency_s", round(completion.latency_s, 6)),
            ("output_tokens", completion.output_tokens),
            ("prompt_tokens", completion.prompt_tokens),
            ("finish_reason", completion.finish_reason),
            ("attempts", completion.attempts),
        ]
        if completion.ttft_s is not None:
            properties.append(("ttft_s", round(completion.ttft_s, 6)))
        if completion.tpot_s is not None:
            properties.append(("tpot_s", round(completion.tpot_s, 6)))
    for name, metric in sorted(verdict.metrics.items()):
        properties.append(
            (name, "{:g}/{:g}".format(*metric) if isinstance(metric, tuple) else metric)
        )
    report.user_properties.extend(properties)
    item.user_properties.extend(properties)
