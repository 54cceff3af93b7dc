"""What the number of a metric means, and how it is printed."""

from __future__ import annotations

from typing import Literal

Unit = Literal["share", "perplexity", "bits", "number"]
"""``share``: 0 to 1, printed in percent. ``perplexity``: exp of a mean negative log-probability
(natural logarithm). ``bits``: of information. ``number``: anything else, such as a count."""


def unit_of(name: str) -> Unit:
    """Returns the unit of the metric ``name``: most are shares."""
    if name.endswith("perplexity"):
        return "perplexity"
    return "bits" if name == "bits_per_byte" else "share"


def is_lower_better(unit: Unit) -> bool:
    """Returns whether a smaller value is the better one."""
    return unit in {"perplexity", "bits"}


def score_of(value: float, unit: Unit) -> float:
    """Returns a value on a scale on which more is better: the sign turned where less is.

    Of a perplexity's logarithm it makes a mean log-probability. It is its own inverse.
    """
    return -value if is_lower_better(unit) else value


def change_text(change: float, unit: Unit, sign: str = "+") -> str:
    """Returns a change of a score, as ``score_of`` has it, without its unit: "-3.7" points.

    ``sign`` is "+" for a signed number, "" where words tell the direction.
    """
    return f"{100 * change:{sign}.1f}" if unit == "share" else f"{change:{sign}.4f}"


def change_unit(unit: Unit) -> str:
    """Returns what changes of a score are counted in: points of percent, nats, bits, or units."""
    names = {"share": "points", "perplexity": "nats", "bits": "bits", "number": "units"}
    return names[unit]


def value_text(value: float, unit: Unit, digits: int = 2) -> str:
    """Returns a value as reports show it: shares in percent, all else as it is.

    ``digits`` are those after the point of a percentage; other numbers have four significant
    ones or more, since a perplexity may have any size.
    """
    return f"{bare_text(value, unit, digits)} %" if unit == "share" else bare_text(value, unit)


def bare_text(value: float, unit: Unit, digits: int = 2) -> str:
    """Returns a value as ``value_text`` does, without the sign of its unit."""
    if unit == "share":
        return f"{100 * value:.{digits}f}"
    # 12.35 and 1.0345, but never 1.235e+04.
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
