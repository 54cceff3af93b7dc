"""Scores of the embedded model beside published ones of the same model, with both intervals.

    python benchmarks/parity.py RUN_DIR [RUN_DIR ...]

Prints the table of docs/parity.md. The published scores are of the model in bfloat16; the
embedded one is a 4-bit quantization of it. Intervals are Wilson's at 95 %, ours over the samples
that were run, the published one over the whole data set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from lightllm_evals.stats import wilson_interval


class Published(NamedTuple):
    """A score that somebody else measured."""

    percent: float
    num_samples: int
    source: str


# Two independent runs of lm-evaluation-harness, without shots.
_CARD = "model card of lldois/SmolLM2-135M-Reasoning-SLERP-Champion (its base model's column)"
PUBLISHED = {
    ("piqa", "acc_norm"): Published(66.9, 1838, _CARD),
    ("hellaswag", "acc_norm"): Published(43.0, 10042, _CARD),
    ("arc_challenge", "acc_norm"): Published(27.7, 1172, _CARD),
    ("arc_easy", "acc"): Published(54.1, 2376, _CARD),
    ("openbookqa", "acc_norm"): Published(33.4, 500, "a run of lm-evaluation-harness"),
    ("winogrande", "acc"): Published(51.6, 1267, "a run of lm-evaluation-harness"),
}


def main(folders: list[str]) -> None:
    """Prints a row a benchmark of the runs."""
    print("| benchmark, form | metric | samples | ours, 95 % | published, 95 % | overlap |")
    print("| --- | --- | ---: | --- | --- | --- |")
    for folder in folders:
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
        for each in summary["benchmarks"]:
            for metric, estimate in each["metrics"].items():
                if (each["benchmark"], metric) in PUBLISHED or metric == next(
                    iter(each["metrics"])
                ):
                    print(_row(each, metric, estimate))


def _row(each: dict[str, Any], metric: str, estimate: dict[str, Any]) -> str:
    ours = _shown(100 * estimate["value"], estimate["interval"])
    published = PUBLISHED.get((each["benchmark"], metric))
    theirs = overlap = "-"
    if published is not None:
        num_right = round(published.percent / 100 * published.num_samples)
        found = wilson_interval(num_right, published.num_samples)
        theirs = _shown(published.percent, {"low": found.low, "high": found.high})
        is_apart = (
            found.low > estimate["interval"]["high"] or found.high < estimate["interval"]["low"]
        )
        overlap = "no" if is_apart else "yes"
    cases = f"{each['scored']} of {each['samples_total']}"
    name = f"{each['benchmark']}, {each['variant']}"
    return f"| {name} | {metric} | {cases} | {ours} | {theirs} | {overlap} |"


def _shown(percent: float, interval: dict[str, float]) -> str:
    return f"{percent:.1f} ({100 * interval['low']:.1f} to {100 * interval['high']:.1f})"


if __name__ == "__main__":
    main(sys.argv[1:])
