"""Opens a run: checks the sandbox, makes the folder, gets the servers ready."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightllm_evals.cases import Needs
from lightllm_evals.profiles import Profile
from lightllm_evals.runs.archive import Archive
from lightllm_evals.runs.directory import RunDirectory, default_run_directory
from lightllm_evals.runs.earlier import earlier_completions
from lightllm_evals.runs.identity import run_identity
from lightllm_evals.runs.lengths import known_lengths
from lightllm_evals.runs.past_run import find_run, runs_below
from lightllm_evals.runs.run import Run
from lightllm_evals.runs.serving import Serving, open_serving
from lightllm_evals.runs.serving_identity import server_key
from lightllm_evals.runs.store import CompletionStore
from lightllm_evals.runs.stored_serving import stored_serving
from lightllm_evals.sandbox import Sandbox
from lightllm_evals.settings import Settings


def start_run(
    settings: Settings,
    profile: Profile | None,
    *,
    below: Path,
    baselines: Path | None,
    needs: Needs,
    in_order: bool,
    is_repeated: bool,
    is_rerun: bool,
    connected: Callable[[], Serving] | None,
    say: Callable[[str], None],
) -> Run:
    """Returns a run with its servers ready and its folder made.

    Args:
        settings: What the user asked for.
        profile: The model's profile, if there is one.
        below: Folder below which runs are kept, unless the settings name one.
        baselines: File or folder of baselines, which know how long completions were.
        needs: What the cases need; a weak sandbox or a server without it is found out now.
        in_order: Ask in the planned order.
        is_repeated: Every worker runs every case.
        is_rerun: Cases are run again (--lf, --ff), so stored completions serve.
        connected: Returns servers that were connected to ahead of time.
        say: Told, in one line, about anything that takes long.

    Raises:
        HarnessError: Something that the run needs is not to be had.
    """
    given = settings.run_dir
    directory = RunDirectory(Path(given) if given else default_run_directory(below))
    if directory.has_results and not (settings.resume or settings.rescore):
        say(f"warning: {directory.path} had a run before, whose results are replaced")
    serving = None
    try:
        # Both take a moment, and neither needs the other.
        with ThreadPoolExecutor(1) as pool:
            check = pool.submit(_isolation, settings) if needs.sandbox else None
            if settings.rescore:
                serving = stored_serving(find_run(settings.rescore, runs_below(below)))
            elif connected is not None:
                serving = connected()
            else:
                serving = open_serving(
                    settings,
                    profile,
                    log_dir=directory.path,
                    needs_prompt_logprobs=needs.prompt_logprobs,
                    say=say,
                )
            if needs.prompt_logprobs:
                serving.check_scoring()
        isolation = check.result() if check else None
        identity = run_identity(settings, profile, serving, isolation)
        earlier = earlier_completions(
            settings, identity["servers"], below=below, path=directory.path, is_rerun=is_rerun
        )
        carried = earlier if settings.resume or settings.rescore else {}
        archive = Archive(
            server_key(identity["servers"]), CompletionStore(directory.path, carried), earlier
        )
    except BaseException:
        if serving is not None:
            serving.close()
        directory.close()
        raise
    return Run(
        serving,
        directory,
        identity=identity,
        in_order=in_order,
        archive=archive,
        is_repeated=is_repeated,
        lengths=known_lengths(runs_below(below), baselines, serving.infos[0].model_name),
    )


def leave_empty_run(settings: Settings, profile: Profile | None, *, below: Path) -> Path:
    """Writes the run of a shard that has no sample, for who merges, and returns its folder.

    Raises:
        ConfigError: The folder cannot be written.
    """
    given = settings.run_dir
    directory = RunDirectory(Path(given) if given else default_run_directory(below))
    try:
        identity = run_identity(settings, profile, None, None)
        directory.begin(identity)
        # It ended when it started: the same fields as any other summary.
        figures = {"finished": identity["started"], "wall_s": 0.0, "completions_reused": 0}
        nothing: dict[str, Any] = {"benchmarks": [], "errors": {}, "unfinished": [], "gate": None}
        directory.write("summary.json", {**identity, **figures, **nothing})
    finally:
        directory.close()
    return directory.path


def _isolation(settings: Settings) -> dict[str, Any]:
    with Sandbox(min_isolation=settings.minimum_isolation) as sandbox:
        found = sandbox.isolation
        return {"level": found.level, "name": found.name, "is_unsafe": found.is_unsafe}
