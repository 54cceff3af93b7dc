"""Baselines on disk: one JSON file a model and benchmark, a line a sample.

Format, version 1: an object with sorted keys. ``format`` and ``schema`` say what it is;
``identity``, ``planned``, ``num_runs``, ``metric``, ``aggregation``, ``metrics``, ``versions`` and
``date`` are those of ``RunScores``; ``samples`` maps an id to its ``SampleScores``, without what
is empty or 0, and a weight of 1. Times are rounded to a tenth of a millisecond, so that a file
stays small and its diff readable.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate.identity import Identity, search_differences, timing_differences
from lightllm_evals.gate.scores import RunScores, SampleScores
from lightllm_evals.records import from_json, to_json

FORMAT = "lightllm-evals baseline"
SCHEMA = 1

_NUMBERS = ("scores", "output_tokens", "latency_s", "ttft_s")
_TIME_DIGITS = 4


def baseline_path(directory: Path, identity: Identity) -> Path:
    """Returns the default place of a baseline: ``<directory>/<model>/<benchmark>.json``."""
    return directory / _file_name(identity.model or "unknown") / f"{identity.benchmark}.json"


def save_baseline(path: Path, run: RunScores) -> None:
    """Writes a complete run as a baseline; parent directories are made.

    Raises:
        ConfigError: The run is incomplete, or the file cannot be written.
    """
    if not run.is_complete:
        raise ConfigError(
            f"{run.identity.benchmark} is incomplete ({run.scored} of {run.planned} completions "
            f"scored, {run.errors} errors) and was not saved as a baseline; finish the run first."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(baseline_text(run), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write the baseline {path}: {error.strerror}.") from error


def load_baseline(path: Path) -> RunScores:
    """Returns the baseline in a file; its ``source`` is the path.

    Raises:
        ConfigError: The file cannot be read, or is no baseline of a version that we know.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read the baseline {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The baseline {path} is not UTF-8 text.") from error
    return parse_baseline(text, str(path))


def baseline_text(run: RunScores) -> str:
    """Returns a run in the baseline format, a line a sample."""
    head = {
        "format": FORMAT,
        "schema": SCHEMA,
        "identity": to_json(run.identity),
        "planned": run.planned,
        "num_runs": run.num_runs,
        "metric": run.metric,
        "aggregation": run.aggregation,
        "metrics": dict(run.metrics),
        "versions": dict(run.versions),
        "date": run.date,
    }
    lines = [
        f"  {json.dumps(sample_id, ensure_ascii=False)}: {_line(run.samples[sample_id])}"
        for sample_id in sorted(run.samples, key=_natural)
    ]
    text = json.dumps(head, ensure_ascii=False, indent=1, sort_keys=True)
    # "samples" sorts between "planned", "schema" and "versions"; last is easier to read.
    return text.removesuffix("\n}") + ',\n "samples": {\n' + ",\n".join(lines) + "\n }\n}\n"


def parse_baseline(text: str, source: str) -> RunScores:
    """Returns the run that ``baseline_text`` wrote; ``source`` names it in messages.

    Raises:
        ConfigError: The text is not a baseline of a version that we know.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"The baseline {source} is not valid JSON: {error}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f"{source} is not a baseline; make one with --lightllm-save-baseline.")
    if data.get("schema") != SCHEMA:
        raise ConfigError(
            f"The baseline {source} has schema {data.get('schema')}, this version reads {SCHEMA}; "
            "save it again."
        )
    try:
        return _run(data, source)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The baseline {source} is damaged ({error}); restore it or save it again."
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSearch:
    """What a directory of baselines has for a run.

    Attributes:
        found: The baseline to compare with, None if none fits.
        misfits: The same model's and benchmark's other files and in what they differ, as phrases.
        nearest: Of those the one that differs least, for who wants to know why it is no match.
    """

    found: RunScores | None
    misfits: tuple[str, ...] = ()
    nearest: RunScores | None = None


def find_baseline(directory: Path, identity: Identity) -> BaselineSearch:
    """Returns the baseline under ``directory`` for a run like ``identity``.

    It has the same model, benchmark and repeats, and all that scores depend on. Of several the
    one wins that also agrees in most of what timings depend on. Files may have any name.

    Raises:
        ConfigError: A baseline cannot be read.
    """
    fitting: list[RunScores] = []
    misfits: list[str] = []
    others: list[tuple[int, RunScores]] = []
    for path in sorted(directory.glob("**/*.json")):
        found = load_baseline(path)
        if (found.identity.model, found.identity.benchmark) != (
            identity.model,
            identity.benchmark,
        ):
            continue
        if differences := search_differences(found.identity, identity):
            misfits.append(f"{path.name} differs in {'; '.join(map(str, differences))}")
            others.append((len(differences), found))
        else:
            fitting.append(found)
    best = min(
        fitting, key=lambda run: len(timing_differences(run.identity, identity)), default=None
    )
    _, nearest = min(others, key=lambda pair: pair[0], default=(0, None))
    return BaselineSearch(found=best, misfits=tuple(misfits), nearest=nearest)


def _run(data: Mapping[str, Any], source: str) -> RunScores:
    return RunScores(
        identity=_identity(data["identity"]),
        samples={str(key): _sample(key, item) for key, item in data["samples"].items()},
        planned=int(data["planned"]),
        num_runs=int(data["num_runs"]),
        metric=str(data["metric"]),
        aggregation="macro" if data.get("aggregation") == "macro" else "micro",
        metrics=dict(data["metrics"]),
        versions=dict(data["versions"]),
        date=str(data["date"]),
        source=source,
    )


def _identity(data: Mapping[str, Any]) -> Identity:
    known = {field.name for field in dataclasses.fields(Identity)}
    return Identity(**{name: value for name, value in data.items() if name in known})


def _sample(sample_id: str, data: Mapping[str, Any]) -> SampleScores:
    sample = from_json(SampleScores, data)
    if not sample.scores:
        raise ValueError(f"sample {sample_id} has no scores")
    numbers = [number for name in _NUMBERS for number in getattr(sample, name)]
    if not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError(f"sample {sample_id} has a number that is none")
    if not (all(map(math.isfinite, sample.scores)) and sample.weight >= 0):
        raise ValueError(f"sample {sample_id} has a score or a weight that is none")
    return sample


def _line(sample: SampleScores) -> str:
    data = {name: _rounded(name, value) for name, value in to_json(sample).items() if value}
    if sample.weight == 1:
        del data["weight"]
    if sample.num_failed is not None:
        data["num_failed"] = sample.num_failed
    # 1 instead of 1.0: most scores are verdicts.
    data["scores"] = [int(s) if s in {0, 1} else s for s in sample.scores]
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def _rounded(name: str, value: Any) -> Any:
    return [round(s, _TIME_DIGITS) for s in value] if name in {"latency_s", "ttft_s"} else value


def _natural(sample_id: str) -> list[tuple[int, str]]:
    # HumanEval/2 before HumanEval/10.
    parts = re.split(r"(\d+)", sample_id)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "-", model).strip("-.") or "unknown"
