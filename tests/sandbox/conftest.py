"""Sandboxes by level, and the results of the case files, each computed once per test run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lightllm_evals
from lightllm_evals.errors import ConfigError
from lightllm_evals.sandbox import Sandbox

_FOLDER = Path(__file__).parent
_OWN_CASES = _FOLDER / "cases.jsonl"
_PUBLIC_CASES = _FOLDER.parents[2] / "shared" / "sandbox-cases.jsonl"
_NOBODY = 65_534
_EVALUATION_TIMEOUT_S = 900

# Levels and users to hold the cases at; "nobody" only where the tests run as root.
GRID = (("own", 3), ("own", 2), ("own", 1), ("nobody", 3), ("nobody", 2))


@pytest.fixture(scope="session")
def sandbox_at() -> Iterator[Callable[[int], Sandbox]]:
    """Returns the sandbox of exactly that level; skips where the host does not offer it."""
    started: dict[int, Sandbox] = {}

    def at(level: int) -> Sandbox:
        if level not in started:
            try:
                started[level] = Sandbox(min_isolation=level, max_isolation=level)
            except ConfigError as error:
                pytest.skip(f"level {level} is not offered here: {error}")
        return started[level]

    yield at
    for sandbox in started.values():
        sandbox.close()


@pytest.fixture(params=[3, 2, 1, 0])
def level(request: pytest.FixtureRequest) -> int:
    """Each level of isolation in turn."""
    return int(request.param)


@pytest.fixture
def sandbox(sandbox_at: Callable[[int], Sandbox], level: int) -> Sandbox:
    """A sandbox at each level that this host offers."""
    return sandbox_at(level)


@pytest.fixture(scope="session")
def readable_python() -> str:
    """An interpreter that an unprivileged user can run, with all the way to our package."""
    for python in (os.path.realpath(sys.executable), *_system_pythons()):
        if _runs_for_nobody(python):
            return python
    pytest.skip("no interpreter here can be read, with this package, by an unprivileged user")


def _system_pythons() -> list[str]:
    names = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
    found = [shutil.which(name, path="/usr/local/bin:/usr/bin") for name in names]
    return [path for path in found if path]


def _runs_for_nobody(python: str) -> bool:
    program = "import sys, lightllm_evals.sandbox; sys.exit(sys.version_info < (3, 10))"
    try:
        ended = subprocess.run(
            [python, "-B", "-c", program],
            env=_environment(),
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return False
    return ended.returncode == 0


def _environment() -> dict[str, str]:
    package_parent = str(Path(lightllm_evals.__file__).parents[1])
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": package_parent}


@pytest.fixture(scope="session")
def case_results(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str, int], dict[str, list[str]]]:
    """Returns what did not hold, by case id, for a user and a level; {} where not offered."""
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        shared = shared.parent
    path = shared / "sandbox-case-results.json"
    # Workers of xdist wait here for the one that computes.
    with (shared / "sandbox-case-results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps(_all_results(request)), encoding="utf-8")
    results = json.loads(path.read_text(encoding="utf-8"))

    def of(user: str, level: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = results[f"{user} {level}"]
        if "skipped" in found:
            pytest.skip(found["skipped"][0])
        return found

    return of


def _all_results(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    # Most of the time is spent waiting for limits to strike.
    with ThreadPoolExecutor(2) as pool:
        nobody: str | None = None
        if os.geteuid() == 0:
            try:
                nobody = request.getfixturevalue("readable_python")
            except pytest.skip.Exception:
                nobody = None
        jobs = {
            f"{user} {level}": pool.submit(_evaluate, user, level, nobody) for user, level in GRID
        }
        return {name: job.result() for name, job in jobs.items()}


def _evaluate(user: str, level: int, nobody_python: str | None) -> dict[str, list[str]]:
    python = sys.executable
    identity: dict[str, Any] = {}
    if user == "nobody":
        if os.geteuid() != 0:
            return {"skipped": ["these tests do not run as root, so they are unprivileged anyway"]}
        if nobody_python is None:
            return {"skipped": ["an unprivileged user can read no interpreter here"]}
        python = nobody_python
        identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    texts = [p.read_text(encoding="utf-8") for p in (_OWN_CASES, _PUBLIC_CASES) if p.exists()]
    ended = subprocess.run(
        [python, "-B", "-c", (_FOLDER / "evaluate_cases.py").read_text(encoding="utf-8")],
        input=json.dumps({"cases": "".join(texts), "level": level}),
        env=_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=_EVALUATION_TIMEOUT_S,
        check=False,
        **identity,
    )
    if "was asked for and this host gives" in ended.stderr:
        return {"skipped": [ended.stderr.strip().splitlines()[-1]]}
    if ended.returncode != 0:
        return {"evaluator": [f"exit code {ended.returncode}: {ended.stderr[-2000:]}"]}
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {line["id"]: line["broken"] for line in lines}
