"""Hooks only: options, cases, reports. What they do is in the modules that they call.

Loaded in every pytest run of its environment, so nothing heavy is imported here: a run that
collects no eval gets two dictionary look-ups a test and no output.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from lightllm_evals.pytest_cases import CASE_KINDS, mark_kinds, parametrize, refusal
from lightllm_evals.pytest_options import SETTINGS, add_options, resolve
from lightllm_evals.pytest_reports import annotate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares ``--lightllm-*``."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Resolves the options and gives this process its role."""
    settings = config.stash[SETTINGS] = resolve(config)
    if settings.data_dir:
        # Samples are read where nobody passes options: at collection, in every process.
        patch = pytest.MonkeyPatch()
        patch.setenv("LIGHTLLM_EVALS_DATA", str(config.invocation_params.dir / settings.data_dir))
        config.add_cleanup(patch.undo)
    for kind in CASE_KINDS:
        config.addinivalue_line("markers", f"{kind}: benchmarks of this kind")
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        from lightllm_evals.pytest_owner import Owner  # noqa: PLC0415  # not needed by workers

        config.pluginmanager.register(Owner(config), "lightllm-owner")
    elif "lightllm_channel" in workerinput:
        from lightllm_evals.pytest_workers import WorkerSide  # noqa: PLC0415  # needs xdist

        config.pluginmanager.register(WorkerSide(config, workerinput["lightllm_channel"]))
    if config.pluginmanager.has_plugin("html"):
        from lightllm_evals.pytest_html_columns import Columns  # noqa: PLC0415  # needs pytest-html

        config.pluginmanager.register(Columns())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes every sample of a declared benchmark a case."""
    parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Ends the session where an option makes no sense for what was collected."""
    report = yield
    if reason := refusal(collector.config):
        raise pytest.UsageError(reason)
    return report


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives a case the markers of its benchmark."""
    mark_kinds(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Makes a case's reports say what a person and the owner of the run need."""
    report = yield
    annotate(item, call, report)
    return report
