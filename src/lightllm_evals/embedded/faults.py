"""Errors on demand: which request is hit by which fault."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightllm_evals.errors import ConfigError

KINDS = ("503", "429", "500", "hang", "cut", "garbage", "reset")

_RULE = re.compile(r"(?P<kind>\w+)=(?:every-(?P<every>\d+)|(?P<rate>\d*\.\d+)|(?P<first>\d+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and whom it hits.

    Attributes:
        rate: Share of attempts in [0, 1], each decided by its content.
        first: The first so many requests.
        every: Every so manyth request.
    """

    kind: str
    rate: float = 0.0
    first: int = 0
    every: int = 0


def parse_fault(text: str) -> FaultRule:
    """Returns the rule that ``KIND=0.1``, ``KIND=3`` or ``KIND=every-10`` means.

    Raises:
        ConfigError: It is none of these.
    """
    match = _RULE.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        raise ConfigError(
            f"Unknown fault {text!r}. Give KIND=0.1 (a share), KIND=3 (the first three requests) "
            f"or KIND=every-10, with KIND one of {', '.join(KINDS)}."
        )
    rate = float(match["rate"] or 0)
    if rate > 1:
        raise ConfigError(f"The share in fault {text!r} is above 1.0.")
    return FaultRule(
        kind=match["kind"],
        rate=rate,
        first=int(match["first"] or 0),
        every=int(match["every"] or 0),
    )


@dataclass(slots=True, kw_only=True)
class FaultPlan:
    """Picks the fault of each request.

    Shares are drawn from seed, request body and the number of the attempt: whatever the order in
    which requests arrive, the same ones fail, and a retry draws anew.

    Attributes:
        is_for_known_only: Prompts without a canned answer are spared.
        die_after: Answers to give before the server dies; None to live on.
    """

    rules: Sequence[FaultRule] = ()
    seed: int = 0
    is_for_known_only: bool = False
    die_after: int | None = None
    _attempts: Counter[bytes] = field(default_factory=Counter)
    _num_requests: int = 0

    def pick(self, body: bytes) -> str:
        """Returns the kind of fault that hits this request, "" for none."""
        self._num_requests += 1
        self._attempts[body] += 1
        for rule in self.rules:
            is_among_first = self._num_requests <= rule.first
            if is_among_first or (rule.every and self._num_requests % rule.every == 0):
                return rule.kind
        draw = _draw(self.seed, body, self._attempts[body])
        for rule in self.rules:
            if draw < rule.rate:
                return rule.kind
            draw -= rule.rate
        return ""


def _draw(seed: int, body: bytes, attempt: int) -> float:
    """Returns a number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.blake2b(b"%d %d " % (seed, attempt) + body, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def check_rates(rules: Sequence[FaultRule]) -> None:
    """Raises ConfigError when the shares are more than everything."""
    total = sum(rule.rate for rule in rules)
    if total > 1:
        raise ConfigError(f"The shares of all faults add up to {total:g}; at most 1.0 can fail.")
