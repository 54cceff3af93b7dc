"""How long completions were in the last run of the same model: the longest go first next time.

A run ends with its longest completion. Asked for last, that one keeps a batching server busy
with a single request; asked for first, it is done among the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = "lengths.json"


def lengths_data(model_name: str, tokens: Mapping[str, int]) -> dict[str, object]:
    """Returns what a run leaves for the next one: output tokens by node id."""
    return {"model_name": model_name, "output_tokens": dict(tokens)}


def expected_tokens(runs: Path, model_name: str) -> dict[str, int]:
    """Returns output tokens by node id from the latest run of a model, {} without one.

    Only a hint for the order: a file that cannot be read is passed over.
    """
    for path in sorted(runs.glob(f"*/{FILE}"), key=lambda found: found.parent.name, reverse=True):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        tokens = data.get("output_tokens") if isinstance(data, dict) else None
        if isinstance(tokens, dict) and data.get("model_name") == model_name:
            return {str(key): value for key, value in tokens.items() if isinstance(value, int)}
    return {}
