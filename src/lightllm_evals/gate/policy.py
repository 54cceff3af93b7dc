"""Policies: what a run must meet, one line a benchmark.

``humaneval: drop<=2, alpha=0.05; gsm8k: strict>=12%, truncated<=5%; *: errors<=1``

Sections are separated by ``;`` or a line break, items by ``,``. A section's name may be a
pattern (``mmlu*``); without a name it holds for every benchmark. Later sections win.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate.conditions import Comparison, parse_comparison
from lightllm_evals.gate.scores import LIMITED
from lightllm_evals.stats import is_lower_better, unit_of

Timing = Literal["latency_p50", "latency_p95", "ttft_p50", "ttft_p95", "tokens_per_s"]
TIMINGS: tuple[str, ...] = get_args(Timing)

_ITEMS = (
    "drop<=2, drop=off, alpha=0.05, power=0.8, visible<=5, pass@1>=0.12, word_perplexity<=30, "
    "must_pass=ID|ID, "
    "truncated<=5%, empty<=5%, unextracted<=5%, latency_p50<=1.1, latency_p95<=1.2, "
    "ttft_p50<=1.2, ttft_p95<=1.2, tokens_per_s>=0.9, errors<=0, samples=common, "
    "inconclusive=pass"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingLimit:
    """A bound on a timing's ratio to the baseline's.

    Attributes:
        name: Which timing.
        ratio: Now to then: at most this for durations, at least this for ``tokens_per_s``.
    """

    name: str
    ratio: float

    @property
    def is_lower_bound(self) -> bool:
        """More is better."""
        return self.name == "tokens_per_s"

    def __str__(self) -> str:
        return f"{self.name}{'>=' if self.is_lower_bound else '<='}{self.ratio:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPolicy:
    """What one benchmark must meet.

    Attributes:
        max_drop: Largest drop against the baseline that is tolerated, as a share (0.02 is two
            points); nats for a perplexity (0.02 is 2 %), bits for bits. None compares nothing.
        needs_baseline: The policy asks for a comparison (it names a drop, say), so that a run
            without a baseline is not judged.
        alpha: Probability of a false alarm, over all benchmarks of a run together.
        power: Probability with which the stated smallest visible drop would be seen.
        max_visible_drop: Larger smallest visible drops are inconclusive; None accepts all.
        floors: Smallest values by metric; a percentage is a share.
        ceilings: Largest values of metrics of which less is better (perplexities, bits).
        must_pass: Ids of samples that must pass, in every repeat.
        limits: Largest shares of truncated, empty and unextracted answers.
        timings: Bounds on timings against the baseline.
        max_errors: Completions that may be missing because of infrastructure errors.
        max_error_share: The same as a share of the planned ones; the larger one counts.
        is_common_enough: Compare the samples that run and baseline share, and ignore others.
        is_inconclusive_pass: An inconclusive verdict passes.
    """

    max_drop: float | None = 0.02
    needs_baseline: bool = False
    alpha: float = 0.05
    power: float = 0.8
    max_visible_drop: float | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    must_pass: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    timings: tuple[TimingLimit, ...] = ()
    max_errors: int = 0
    max_error_share: float = 0.0
    is_common_enough: bool = False
    is_inconclusive_pass: bool = False

    @property
    def is_absolute(self) -> bool:
        """It asks for something besides the drop: a floor, ceiling, sample, limit or timing."""
        return bool(self.floors or self.ceilings or self.must_pass or self.limits or self.timings)

    def allowed_errors(self, planned: int) -> int:
        """Returns how many of ``planned`` completions may lack a score."""
        return max(self.max_errors, int(self.max_error_share * planned + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policies of all benchmarks.

    Attributes:
        sections: (pattern of benchmark names, items as written), in the order given.
        is_asked: It was given for this run and does not just stand in a file. What only says
            how to compare (``alpha=0.01``) then asks for a comparison.
    """

    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    is_asked: bool = False

    @property
    def is_demanding(self) -> bool:
        """Whether it asks for anything by itself, and does not only say how to judge."""
        return any(_is_demand(item) for _, items in self.sections for item in items)

    def without_match(self, names: Iterable[str]) -> tuple[str, ...]:
        """Returns the patterns of sections that hold for none of the benchmarks ``names``."""
        ran = list(names)
        patterns = dict.fromkeys(pattern for pattern, _ in self.sections if pattern != "*")
        return tuple(
            pattern
            for pattern in patterns
            if not any(fnmatch.fnmatchcase(name, pattern) for name in ran)
        )

    def for_benchmark(self, name: str) -> BenchmarkPolicy:
        """Returns what the benchmark ``name`` must meet."""
        policy = BenchmarkPolicy()
        matching = [
            items for pattern, items in self.sections if fnmatch.fnmatchcase(name, pattern)
        ]
        for item in itertools.chain.from_iterable(matching):
            policy = _with_item(policy, item)
        if self.is_asked and matching and _implies_comparison(policy):
            policy = dataclasses.replace(policy, needs_baseline=True)
        return policy


def parse_policy(text: str) -> Policy:
    """Returns the policy that ``text`` states; an empty text is the default policy.

    Raises:
        ConfigError: An item is unknown or its value makes no sense.
    """
    sections = tuple(_section(part) for part in re.split(r"[;\n]", text) if part.strip())
    for _, items in sections:
        policy = BenchmarkPolicy()
        for item in items:
            policy = _with_item(policy, item)
    return Policy(sections=sections)


def _is_demand(item: str) -> bool:
    asked = _with_item(BenchmarkPolicy(), item)
    return asked.needs_baseline or asked.is_absolute


def _implies_comparison(policy: BenchmarkPolicy) -> bool:
    # Without a comparison nothing but completeness would be judged, and anything would pass.
    if policy.max_visible_drop is not None:
        return True
    return policy.max_drop is not None and not policy.is_absolute


def _section(text: str) -> tuple[str, tuple[str, ...]]:
    match = re.match(r"\s*([\w.*?+-]+)\s*:(.*)", text, re.DOTALL)
    name, rest = (match[1], match[2]) if match else ("*", text)
    items = tuple(item.strip() for item in rest.split(",") if item.strip())
    if not items:
        raise ConfigError(
            f"The gate policy {text.strip()!r} asks for nothing; it can say {_ITEMS}."
        )
    return name, items


def _with_item(policy: BenchmarkPolicy, item: str) -> BenchmarkPolicy:
    if comparison := parse_comparison(item):
        return _with_bound(policy, comparison, item)
    name, _, value = (part.strip() for part in item.partition("="))
    match name, value:
        case "must_pass", ids if ids.strip("| "):
            named = tuple(part.strip() for part in ids.split("|") if part.strip())
            policy = dataclasses.replace(policy, must_pass=policy.must_pass + named)
        case "alpha", _:
            policy = dataclasses.replace(policy, alpha=_probability(value, item))
        case "power", _:
            policy = dataclasses.replace(policy, power=_probability(value, item))
        case "drop", "off":
            policy = dataclasses.replace(policy, max_drop=None, needs_baseline=False)
        case "inconclusive", "pass" | "fail":
            policy = dataclasses.replace(policy, is_inconclusive_pass=value == "pass")
        case "samples", "common" | "all":
            policy = dataclasses.replace(policy, is_common_enough=value == "common")
        case _:
            raise _unknown(item)
    return policy


def _with_bound(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    if bound.operator not in {"<=", ">="}:
        raise ConfigError(
            f"The gate policy's {item!r} needs <= or >= instead of {bound.operator}."
        )
    if bound.name in TIMINGS:
        return _with_timing(policy, bound, item)
    if is_lower_better(unit_of(bound.name)):
        return _with_ceiling(policy, bound, item)
    if bound.operator == ">=":
        return _with_floor(policy, bound, item)
    if bound.name == "errors":
        return _with_errors(policy, bound, item)
    if bound.name in LIMITED:
        limits = {**policy.limits, bound.name: _share(bound, item)}
        return dataclasses.replace(policy, limits=limits)
    return _with_drop(policy, bound, item)


def _with_drop(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    if bound.name not in {"drop", "visible"}:
        raise _unknown(item)
    if bound.number > 100:
        raise ConfigError(f"The gate policy's {item!r} is in points of percent: 0 to 100.")
    share = bound.number / 100
    if bound.name == "visible":
        return dataclasses.replace(policy, max_visible_drop=share)
    return dataclasses.replace(policy, max_drop=share, needs_baseline=True)


def _with_errors(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    if bound.is_percent:
        share = _share(bound, item)
        return dataclasses.replace(policy, max_error_share=share, max_errors=0)
    if not bound.number.is_integer():
        raise ConfigError(f"The gate policy's {item!r} needs a whole number or a percentage.")
    return dataclasses.replace(policy, max_errors=int(bound.number), max_error_share=0.0)


def _with_timing(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    limit = TimingLimit(name=bound.name, ratio=bound.fraction)
    if (bound.operator == ">=") != limit.is_lower_bound or limit.ratio <= 0:
        raise ConfigError(f"The gate policy's {item!r} makes no sense; write {limit} instead.")
    others = tuple(timing for timing in policy.timings if timing.name != limit.name)
    return dataclasses.replace(policy, timings=(*others, limit))


def _with_ceiling(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    if bound.operator != "<=" or bound.is_percent:
        raise ConfigError(
            f"The gate policy's {item!r} makes no sense: less is better; "
            f"write {bound.name}<={bound.number:g} instead."
        )
    ceilings = {**policy.ceilings, bound.name: bound.number}
    return dataclasses.replace(policy, ceilings=ceilings)


def _with_floor(policy: BenchmarkPolicy, bound: Comparison, item: str) -> BenchmarkPolicy:
    if bound.name in {*LIMITED, "drop", "visible", "errors"}:
        raise ConfigError(f"The gate policy's {item!r} needs <= instead of >=.")
    floors = {**policy.floors, bound.name: _share(bound, item)}
    return dataclasses.replace(policy, floors=floors)


def _probability(value: str, item: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise ConfigError(f"The gate policy's {item!r} needs a number between 0 and 1.")
    return number


def _share(bound: Comparison, item: str) -> float:
    if bound.fraction > 1:
        raise ConfigError(
            f"The gate policy's {item!r} bounds a share at {bound.fraction:g}, above 1; "
            f"did you mean {bound.number:g}%?"
        )
    return bound.fraction


def _unknown(item: str) -> ConfigError:
    return ConfigError(f"The gate policy cannot say {item!r}; it can say {_ITEMS}.")
