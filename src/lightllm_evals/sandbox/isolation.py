"""The levels of isolation, and how to get a higher one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NAMES = {3: "namespaces", 2: "landlock+seccomp", 1: "seccomp", 0: "none"}

_HOW_TO_GET = {
    3: (
        "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1 and "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run the container with "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN"
    ),
    2: (
        "Use a Linux kernel 6.2 or newer with landlock in its LSM list, and a container engine "
        "whose seccomp profile lets Landlock through (Docker 20.10 or newer)"
    ),
    1: "Use Linux on x86_64 or aarch64 with seccomp filters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What a self-test in a real child has confirmed.

    Attributes:
        level: 3 namespaces + Landlock + seccomp; 2 Landlock + seccomp; 1 seccomp, no files;
            0 limits only.
        refused: Why each higher level was refused, by level.
    """

    level: int
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The level in words."""
        return NAMES[self.level]

    @property
    def is_unsafe(self) -> bool:
        """Whether programs run with limits only."""
        return self.level == 0

    def __str__(self) -> str:
        unsafe = ", UNSAFE: limits only" if self.is_unsafe else ""
        return f"{self.level} ({self.name}{unsafe})"


def too_low(isolation: Isolation, minimum: int) -> str:
    """Returns the sentence that says what the host lacks, how to get it, or accept less."""
    reasons = [f"level {n}: {why}" for n, why in sorted(isolation.refused.items()) if n >= minimum]
    lacking = "; ".join(reasons) or f"level {minimum} was not allowed by max_isolation"
    return (
        f"Isolation level {minimum} ({NAMES[minimum]}) was asked for and this host gives "
        f"{isolation.level} ({isolation.name}): {lacking}. {_HOW_TO_GET[minimum]}; or accept "
        f"less with --lightllm-min-isolation={isolation.level}"
        + (" (unsafe: programs run with limits only)." if isolation.is_unsafe else ".")
    )
