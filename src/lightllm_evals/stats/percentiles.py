"""Percentiles of durations."""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PERCENTILE_DEFINITION = "linear interpolation between order statistics (Hyndman-Fan type 7)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """p50, p95 and p99 of ``n`` values, in the values' unit."""

    n: int
    p50: float
    p95: float
    p99: float
    definition: str = PERCENTILE_DEFINITION


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Returns a percentile (0 to 100) of ``values``, None when there are none.

    Linear interpolation between order statistics: type 7 of R. J. Hyndman and Y. Fan, "Sample
    Quantiles in Statistical Packages" (1996), https://doi.org/10.1080/00031305.1996.10473566.
    """
    import numpy as np

    if not values:
        return None
    return float(np.percentile(np.asarray(values, dtype=float), percent, method="linear"))


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Returns p50, p95 and p99 of ``values``, None when there are none."""
    p50, p95, p99 = (percentile(values, percent) for percent in (50, 95, 99))
    if p50 is None or p95 is None or p99 is None:
        return None
    return Percentiles(n=len(values), p50=p50, p95=p95, p99=p99)
