"""Which completions of earlier runs a run may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Completion
from lightllm_evals.runs.past_run import PastRun, find_run, json_lines, past_runs, runs_below
from lightllm_evals.runs.serving_identity import server_differences, server_key
from lightllm_evals.runs.store import FILE_NAME, stored_completions
from lightllm_evals.settings import Settings

# A failure is rerun soon or never; reading every run there is could take minutes.
_MOST_RUNS = 20


def earlier_completions(
    settings: Settings,
    servers: Sequence[Mapping[str, Any]],
    *,
    below: Path,
    path: Path,
    is_rerun: bool,
) -> dict[str, Completion]:
    """Returns the completions that need not be asked for again, by key.

    The rule: those of the run that is resumed or rescored; in a rerun of failures those of the
    latest runs with the same servers, unless --lightllm-fresh; else none.

    Args:
        settings: What the user asked for.
        servers: The servers of this run, as ``run.json`` has them.
        below: Folder below which runs are kept.
        path: This run's folder, which an earlier one may have used.
        is_rerun: Cases are run again (--lf, --ff).

    Raises:
        ConfigError: The run to resume had other servers.
    """
    continued = settings.resume or settings.rescore
    if continued:
        run = find_run(continued, runs_below(below))
        if differences := server_differences(run.identity["servers"], servers):
            raise ConfigError(
                f"The run {run.path.name} cannot go on with this server: it differs in "
                f"{'; '.join(differences)}. Start it as it was, or run without --lightllm-resume."
            )
        return completions_of(run)
    if not is_rerun or settings.fresh:
        return {}
    found: dict[str, Completion] = {}
    key = server_key(servers)
    for run in islice(_latest(below, path), _MOST_RUNS):
        if server_key(run.identity["servers"]) == key:
            # The latest run counts where several have a completion.
            found = {**completions_of(run), **found}
    return found


def completions_of(run: PastRun) -> dict[str, Completion]:
    """Returns the completions that a run stored, by key."""
    return stored_completions(json_lines(run.path / FILE_NAME))


def _latest(below: Path, path: Path) -> Sequence[PastRun]:
    runs = list(past_runs(runs_below(below)))
    if (path / "run.json").is_file() and path.resolve() not in {run.path for run in runs}:
        runs.insert(0, find_run(str(path), runs_below(below)))
    return runs
