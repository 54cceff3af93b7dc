"""What a score depends on, and in what two runs differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """All that determines a benchmark's scores and timings in a run.

    Hashes are short texts that the caller makes; "" is unknown and equals only "".

    Attributes:
        benchmark: The benchmark's name.
        variant: The form of its prompt.
        dataset: Hash of the whole data set, whatever part of it was run.
        prompt: Hash of what makes a prompt from a sample.
        params: How to decode, in LightLLM's spelling.
        postprocessing: Hash of what makes an answer from a completion.
        scorer: Hash or version of what judges an answer.
        repeats: Completions a sample.
        model: Name of the model.
        server: What the probe found out; shown, never compared: it is what one wants to judge.
        concurrency: Requests at a time; None where unknown.
        settings: Launch settings of the server that timing depends on.
    """

    benchmark: str
    variant: str = ""
    dataset: str = ""
    prompt: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    postprocessing: str = ""
    scorer: str = ""
    repeats: int = 1
    model: str = ""
    server: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDifference:
    """One thing in which two runs differ."""

    name: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.then)} -> {_shown(self.now)}"


def score_differences(then: Identity, now: Identity) -> tuple[IdentityDifference, ...]:
    """Returns in what two runs differ so that their scores cannot be compared; () if nothing.

    Model and server may differ: whether they changed the score is the gate's question.
    """
    names = ("benchmark", "variant", "dataset", "prompt", "params", "postprocessing", "scorer")
    return _differences(then, now, names)


def timing_differences(then: Identity, now: Identity) -> tuple[IdentityDifference, ...]:
    """Returns in what two runs differ so that their timings cannot be compared; () if nothing."""
    return _differences(then, now, ("concurrency", "settings"))


def fold_differences(then: Identity, now: Identity) -> tuple[IdentityDifference, ...]:
    """Returns in what two runs differ so that they are not repetitions; () if nothing."""
    return search_differences(then, now) + timing_differences(then, now)


def search_differences(then: Identity, now: Identity) -> tuple[IdentityDifference, ...]:
    """Returns why a baseline is not the one that a run is compared with unasked; () if it is."""
    return score_differences(then, now) + _differences(then, now, ("repeats", "model"))


def _differences(
    then: Identity, now: Identity, names: tuple[str, ...]
) -> tuple[IdentityDifference, ...]:
    before, after = ({k: v for n in names for k, v in _flat(n, i)} for i in (then, now))
    return tuple(
        IdentityDifference(name=name, then=before.get(name), now=after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _flat(name: str, identity: Identity) -> list[tuple[str, Any]]:
    value = getattr(identity, name)
    if isinstance(value, Mapping):
        return [(f"{name}.{key}", _plain(item)) for key, item in sorted(value.items())]
    return [(name, value)]


def _plain(value: Any) -> Any:
    # A baseline has been through JSON, where a tuple becomes a list.
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)
