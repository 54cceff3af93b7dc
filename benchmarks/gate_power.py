"""The gate's power beside an unpaired test's, as docs/gate.md shows it: a table and a plot.

    python benchmarks/gate_power.py docs/gate-power.svg

Simulates pairs of runs (seeded, no server) with flips and a true drop, and lets two tests judge
the same runs: the gate's exact McNemar test on the samples, and the one-sided z test of two
proportions that sees the two scores only. Prints the table in Markdown and writes the plot.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binom, norm

from lightllm_evals.stats import drop_power, smallest_visible_drop

ALPHA = 0.05
NUM_RUNS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A benchmark of ``n`` samples, its pass rate and the share that flips between two runs."""

    name: str
    n: int
    pass_rate: float
    flip_rate: float


SETTINGS = [
    Setting(name="HumanEval", n=164, pass_rate=0.3, flip_rate=0.0),
    Setting(name="HumanEval", n=164, pass_rate=0.3, flip_rate=0.035),
    Setting(name="MATH-500", n=500, pass_rate=0.5, flip_rate=0.035),
    Setting(name="GSM8K", n=1_319, pass_rate=0.5, flip_rate=0.01),
    Setting(name="GSM8K", n=1_319, pass_rate=0.5, flip_rate=0.035),
    Setting(name="MMLU", n=14_042, pass_rate=0.5, flip_rate=0.01),
]
PLOTTED = [SETTINGS[1], SETTINGS[4]]


def simulate(setting: Setting, drop: float, seed: int) -> tuple[float, float]:
    """Returns the share of NUM_RUNS in which the (paired, unpaired) test sees a drop."""
    rng = np.random.default_rng([seed, setting.n])
    half, n = setting.flip_rate / 2, setting.n
    cells = [half + drop, half, setting.pass_rate - half - drop]
    broken, fixed, kept, _ = rng.multinomial(n, [*cells, 1 - sum(cells)], size=NUM_RUNS).T
    paired = binom.sf(broken - 1, broken + fixed, 0.5) <= ALPHA
    then, now = (kept + broken) / n, (kept + fixed) / n
    pooled = (then + now) / 2
    # The pooled z test: A. Agresti, Categorical Data Analysis, 3rd ed. (2013), section 3.2.
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-30))
    unpaired = (then - now) / error >= norm.isf(ALPHA)
    return float(paired.mean()), float(unpaired.mean())


def unpaired_visible_drop(setting: Setting) -> float:
    """Returns the smallest drop that the unpaired test sees in 80 % of the simulated runs."""
    low, high = 0.0, setting.pass_rate - setting.flip_rate / 2
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (low, middle) if simulate(setting, middle, 1)[1] >= 0.8 else (middle, high)
    return high


def table() -> str:
    """Returns the table of docs/gate.md."""
    lines = [
        "| benchmark | samples | flips | gate sees | with `drop<=2` | unpaired test sees "
        "| false alarms: gate | unpaired |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for setting in SETTINGS:
        plain, tolerant = (
            smallest_visible_drop(setting.n, setting.flip_rate, alpha=ALPHA, tolerance=tolerance)
            for tolerance in (0.0, 0.02)
        )
        false_alarms = [f"{100 * share:.1f} %" for share in simulate(setting, 0.0, 2)]
        cells = [
            setting.name,
            f"{setting.n:,}",
            f"{100 * setting.flip_rate:g} %",
            *(f"{100 * (drop or 1):.1f}" for drop in (plain, tolerant)),
            f"{100 * unpaired_visible_drop(setting):.1f}",
            *false_alarms,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


WIDTH, HEIGHT = 760, 340
PANEL_WIDTH, PANEL_HEIGHT, TOP = 300, 220, 56
MOST_POINTS = 15
GATE_COLOR, UNPAIRED_COLOR = "#0b62a4", "#c2410c"


def plot() -> str:
    """Returns the plot as SVG: a panel a setting, power over the true drop."""
    panels = [panel(s, 60 + i * (PANEL_WIDTH + 70)) for i, s in enumerate(PLOTTED)]
    style = "font-family:sans-serif;font-size:12px"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'role="img" style="{style}">',
            "<title>Power of the gate's paired test and of an unpaired test</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *panels,
            "</svg>\n",
        ]
    )


def panel(setting: Setting, left: int) -> str:
    """Returns one panel: lines for the gate (exact) and the unpaired test, dots simulated."""
    drops = [i / 4 for i in range(4 * MOST_POINTS + 1)]
    half = setting.flip_rate / 2
    exact = [drop_power(setting.n, half + drop / 100, half, ALPHA) for drop in drops]
    found = [simulate(setting, drop / 100, 3) for drop in drops]
    bottom = TOP + PANEL_HEIGHT
    parts = [
        text(left, 24, f"{setting.name}: {setting.n:,} samples", "bold"),
        text(left, 42, f"{100 * setting.flip_rate:g} % flip, {100 * setting.pass_rate:g} % pass"),
    ]
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        y = bottom - share * PANEL_HEIGHT
        stroke = "#999999" if share == 0.8 else "#e4e4e4"
        parts.append(
            f'<path d="M{left} {y:.1f}h{PANEL_WIDTH}" stroke="{stroke}" fill="none"/>'
            + text(left - 8, y + 4, f"{100 * share:.0f} %", anchor="end")
        )
    for points in range(0, MOST_POINTS + 1, 3):
        x = left + points / MOST_POINTS * PANEL_WIDTH
        parts.append(text(x, bottom + 18, str(points), anchor="middle"))
    middle = left + PANEL_WIDTH / 2
    parts.append(text(middle, bottom + 38, "true drop in points", anchor="middle"))
    # The lower right is free: there both curves are at the top.
    legend_x, legend_y = left + PANEL_WIDTH - 90, bottom - 44
    parts += [
        curve(drops, exact, left, GATE_COLOR),
        curve(drops, [share for _, share in found], left, UNPAIRED_COLOR),
        text(legend_x, legend_y, "gate (paired)", color=GATE_COLOR),
        text(legend_x, legend_y + 18, "unpaired test", color=UNPAIRED_COLOR),
    ]
    for drop, (share, _) in list(zip(drops, found, strict=True))[::4]:
        x, y = place(drop, share, left)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{GATE_COLOR}"/>')
    return "\n".join(parts)


def curve(drops: list[float], shares: list[float], left: int, color: str) -> str:
    """Returns a line through the points (drop, share)."""
    spots = [place(drop, share, left) for drop, share in zip(drops, shares, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'


def place(drop: float, share: float, left: int) -> tuple[float, float]:
    """Returns where a point of a curve lies."""
    return left + drop / MOST_POINTS * PANEL_WIDTH, TOP + (1 - share) * PANEL_HEIGHT


def text(
    x: float,
    y: float,
    content: str,
    weight: str = "normal",
    *,
    color: str = "#333333",
    anchor: str = "start",
) -> str:
    """Returns one line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{content}</text>'
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/gate_power.py FILE.svg")
    Path(sys.argv[1]).write_text(plot(), encoding="utf-8")
    print(table())
