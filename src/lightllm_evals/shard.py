"""A part of the samples, for one job of several."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from lightllm_evals.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part ``number`` (from 1 on) of ``of``; every sample is in exactly one."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, sample_id: str) -> bool:
        """Whether a sample is in this part; the same on every machine."""
        value = int.from_bytes(hashlib.sha256(sample_id.encode("utf-8")).digest()[:8], "big")
        return value % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """Returns the shard that ``3/16`` names.

    Raises:
        ConfigError: The text is not of this form, or the first number exceeds the second.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--lightllm-shard takes I/N with I from 1 to N, not {text!r}.")
    return Shard(number=int(match[1]), of=int(match[2]))
