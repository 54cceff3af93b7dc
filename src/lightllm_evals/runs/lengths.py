"""How long completions of the same model were before: the longest go first next time.

A run ends with its longest completion. Asked for last, that one keeps a batching server busy
with a single request; asked for first, it is done among the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightllm_evals.results import PlannedCase

FILE = "lengths.json"

# Runs that are looked through: one of a single sample must not hide a whole one before it.
_MAX_RUNS = 50


@dataclass(slots=True)
class Lengths:
    """Output tokens that completions had.

    Attributes:
        by_case: By node id, from earlier runs.
        by_sample: By benchmark and sample id, from baselines.
    """

    by_case: dict[str, int] = field(default_factory=dict)
    by_sample: dict[tuple[str, str], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_case or self.by_sample)

    def note(self, case: PlannedCase) -> None:
        """Adds what a baseline knows of a case that no earlier run had."""
        known = self.by_sample.get((case.benchmark, case.sample))
        if known is not None:
            self.by_case.setdefault(case.nodeid, known)


def lengths_data(model_name: str, tokens: Mapping[str, int]) -> dict[str, object]:
    """Returns what a run leaves for the next one: output tokens by node id."""
    return {"model_name": model_name, "output_tokens": dict(tokens)}


def known_lengths(runs: Path, baselines: Path | None, model_name: str) -> Lengths:
    """Returns what earlier runs and baselines of a model know; the latest run counts most.

    Only a hint for the order: a file that cannot be read is passed over.
    """
    found = Lengths()
    files = sorted(runs.glob(f"*/{FILE}"), key=lambda path: path.parent.name, reverse=True)
    for data in _objects(files[:_MAX_RUNS]):
        tokens = data.get("output_tokens")
        if isinstance(tokens, dict) and data.get("model_name") == model_name:
            for nodeid, number in tokens.items():
                if isinstance(number, int):
                    found.by_case.setdefault(nodeid, number)
    for data in _objects(_baseline_files(baselines)):
        identity, samples = data.get("identity"), data.get("samples")
        if not isinstance(identity, dict) or not isinstance(samples, dict):
            continue
        if identity.get("model") == model_name:
            for sample, figures in samples.items():
                tokens = figures.get("output_tokens") if isinstance(figures, dict) else None
                if isinstance(tokens, list) and tokens and isinstance(tokens[0], int):
                    found.by_sample[str(identity.get("benchmark")), sample] = tokens[0]
    return found


def _baseline_files(place: Path | None) -> list[Path]:
    if place is None:
        return []
    return sorted(place.glob("**/*.json")) if place.is_dir() else [place]


def _objects(files: list[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(data, dict):
            yield data
