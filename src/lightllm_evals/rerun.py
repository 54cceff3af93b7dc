"""The command that runs some cases again, with the options of this run."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence

_PREFIX = "--lightllm-"
# A part of the samples is no baseline, passes no gate meant for all, and is no shard.
_DROPPED = {
    f"{_PREFIX}{name}"
    for name in (
        "gate",
        "baseline",
        "save-baseline",
        "min",
        "shard",
        "limit",
        "resume",
        "rescore",
        "run-dir",
    )
}


def rerun_command(
    nodeids: Sequence[str], args: Iterable[str], *, flags: Collection[str] = ()
) -> str:
    """Returns the command line for cases.

    Args:
        nodeids: Which cases.
        args: The arguments of this run; those that begin with ``--lightllm-`` are kept.
        flags: Options without a value of their own.
    """
    kept: list[str] = []
    rest = list(args)
    while rest:
        taken = [rest.pop(0)]
        if not taken[0].startswith(_PREFIX):
            continue
        name, equals, _ = taken[0].partition("=")
        if not equals and name not in flags and rest and not rest[0].startswith("-"):
            taken.append(rest.pop(0))
        if name not in _DROPPED:
            kept += taken
    return shlex.join(["pytest", *nodeids, *kept])
