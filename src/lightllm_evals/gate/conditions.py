"""Conditions on one metric of one benchmark, such as ``humaneval:pass@1>=0.02``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lightllm_evals.errors import ConfigError
from lightllm_evals.stats import is_lower_better, unit_of

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(
    r"(?P<name>[\w@.+*-]+?)\s*(?P<operator>>=|<=|>|<)\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<percent>%?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``name OP number``, read from text.

    Attributes:
        name: The metric or quantity.
        operator: ">=", "<=", ">" or "<".
        number: The number as written, without its percent sign.
        is_percent: A percent sign followed the number.
    """

    name: str
    operator: str
    number: float
    is_percent: bool

    @property
    def fraction(self) -> float:
        """The number as a share of one."""
        return self.number / 100 if self.is_percent else self.number


def parse_comparison(text: str) -> Comparison | None:
    """Returns the comparison that ``text`` is, None if it is none."""
    match = _COMPARISON.fullmatch(text.strip())
    if match is None:
        return None
    return Comparison(
        name=match["name"],
        operator=match["operator"],
        number=float(match["number"]),
        is_percent=bool(match["percent"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A bound on a metric of a benchmark.

    Attributes:
        benchmark: The benchmark's name.
        metric: The metric's name, such as "pass@1".
        operator: ">=", "<=", ">" or "<".
        threshold: The bound, in the metric's unit (rates: 0 to 1).
    """

    benchmark: str
    metric: str
    operator: str
    threshold: float

    def __str__(self) -> str:
        return f"{self.benchmark}:{self.metric}{self.operator}{self.threshold:g}"

    def holds(self, value: float | None) -> bool:
        """Returns whether ``value`` meets the bound; a metric without a value never does."""
        return value is not None and is_met(value, self.operator, self.threshold)


def is_met(value: float, comparison: str, threshold: float) -> bool:
    """Returns whether ``value`` stands in the relation ">=", "<=", ">" or "<" to ``threshold``."""
    return _OPERATORS[comparison](value, threshold)


def parse_min_condition(text: str) -> Condition:
    """Returns the condition that ``text`` states: ``benchmark:metric OP number``.

    OP is one of >=, <=, > and <; the number may be a percentage: ``humaneval:pass@1>=2%``.

    Raises:
        ConfigError: The text is not such a condition, or bounds a rate outside of 0 to 1.
    """
    benchmark, colon, rest = text.partition(":")
    comparison = parse_comparison(rest)
    if not colon or not re.fullmatch(r"[\w.+-]+", benchmark.strip()) or comparison is None:
        raise ConfigError(
            f"{text!r} is not a condition; write benchmark:metric>=number, "
            "such as humaneval:pass@1>=0.02."
        )
    if comparison.fraction > 1 and not is_lower_better(unit_of(comparison.name)):
        raise ConfigError(
            f"{text!r} bounds a rate at {comparison.fraction:g}, but rates lie between 0 and 1; "
            f"did you mean {comparison.number:g}%?"
        )
    return Condition(
        benchmark=benchmark.strip(),
        metric=comparison.name,
        operator=comparison.operator,
        threshold=comparison.fraction,
    )


def hopeless(
    conditions: Sequence[Condition], benchmarks: Collection[str], repeats: int
) -> list[str]:
    """Returns a sentence for each condition that a run cannot meet, whatever the model does.

    Args:
        conditions: The gate's.
        benchmarks: Names of the benchmarks that the run has samples of.
        repeats: Completions of each sample.
    """
    found = []
    for condition in conditions:
        k = re.fullmatch(r"pass@(\d+)", condition.metric)
        if condition.benchmark not in benchmarks:
            why = f"no sample of {condition.benchmark} was selected, but of {_listed(benchmarks)}"
        elif k and int(k[1]) > repeats:
            why = f"it takes --lightllm-repeats={int(k[1])}, and this run has {repeats}"
        else:
            continue
        found.append(f"the condition {condition} cannot hold: {why}")
    return found


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
