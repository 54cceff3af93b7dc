"""What the sandbox says about one program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lightllm_evals import records

Status = Literal["passed", "failed", "crashed", "timeout", "memory", "output", "harness_error"]
Mode = Literal["split", "shared"]
Limit = Literal["", "wall", "cpu", "memory", "scratch", "output"]

MAX_DETAIL_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one program; ``str()`` gives it as one line.

    Attributes:
        status: "passed"; "failed" (wrong answer or exception); "crashed" (the process ended
            before it answered); "timeout", "memory", "output" (a limit was hit);
            "harness_error" (the sandbox failed, so this says nothing about the program).
        detail: At most 500 characters, control characters escaped.
        isolation: The level that held the program, 0 to 3; 0 is unsafe.
        integrity: "split" where the tests ran out of the program's reach, else "shared".
        wall_s: From the request to the verdict.
        cpu_s: CPU time of the candidate process.
        delay_s: Time that candidate or checker were ready and waited for a CPU.
        max_rss_kb: The candidate's largest resident memory, in KiB.
        calls: Calls of the candidate that the tests made; 0 in shared mode.
        limit: The limit that was hit, "" for none.
        signal: The signal that ended the candidate on its own, None where none did.
        stdout: The first 64 KiB that the program wrote, undecodable bytes escaped.
        stderr: The same for standard error.
    """

    status: Status
    detail: str = ""
    isolation: int
    integrity: Mode = "split"
    wall_s: float = 0.0
    cpu_s: float = 0.0
    delay_s: float = 0.0
    max_rss_kb: int = 0
    calls: int = 0
    limit: Limit = ""
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""

    @property
    def passed(self) -> bool:
        """Whether the program passed its tests."""
        return self.status == "passed"

    @property
    def is_unsafe(self) -> bool:
        """Whether the program ran with limits only, so that it could have done anything."""
        return self.isolation == 0

    def to_json(self) -> dict[str, Any]:
        """Returns the verdict as plain data."""
        return records.to_json(self)

    def __str__(self) -> str:
        reached = f" ({self.limit} limit)" if self.limit else ""
        times = f"wall {self.wall_s:.2f} s, cpu {self.cpu_s:.2f} s, delay {self.delay_s:.2f} s"
        unsafe = " UNSAFE" if self.is_unsafe else ""
        where = f"isolation {self.isolation}{unsafe}, {self.integrity}"
        text = f"{self.status}{reached}: {times}; {where}"
        return f"{text}; {self.detail}" if self.detail else text


def one_line(text: str) -> str:
    """Returns the text with control characters escaped, cut to the length of a detail."""
    escaped = "".join(
        c if c.isprintable() else repr(c)[1:-1] for c in text[:MAX_DETAIL_CHARACTERS]
    )
    return escaped[:MAX_DETAIL_CHARACTERS]
