"""Model output as reports show it: harmless on a terminal, and no longer than one can read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightllm_evals.records import Choice, Likelihood

MOST_BYTES = 2048
"""More of one text makes an HTML report of a thousand cases too large to open."""

# Characters: what tells choices apart is at their end.
_CHOICE_END = 200

# Escape sequences move the cursor and change colours; half a surrogate pair has no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# What differs between errors that have one cause.
_MEASURED = re.compile(r"\d[\d.]*(?= (?:s|times|bytes|tokens|more|completions)\b)")


def printable(text: str) -> str:
    """Returns a text with escapes in the place of control characters and lone surrogates."""
    return _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], text)


def head(text: str, whole: str = "results.jsonl") -> str:
    """Returns the printable beginning of a text, and where the rest is if it is too long."""
    shown = printable(text)
    raw = shown.encode()
    if len(raw) <= MOST_BYTES:
        return shown
    kept = raw[:MOST_BYTES].decode(errors="ignore")
    return f"{kept}\n[{len(raw) - MOST_BYTES} bytes more: the whole is in {whole}]"


def tail(text: str, num_chars: int) -> str:
    """Returns the printable end of a text."""
    return printable(text[-num_chars:])


def likelihood_lines(choices: Sequence[Choice], likelihoods: Sequence[Likelihood]) -> str:
    """Returns a line a scored text: its log-probability, its tokens, and how it ends."""
    return "\n".join(
        f"{found.logprob:10.3f} over {found.num_tokens} tokens: "
        + repr((choice.context + choice.continuation)[-_CHOICE_END:])
        for choice, found in zip(choices, likelihoods, strict=True)
    )


def cause(sentence: str) -> str:
    """Returns an error's sentence without what was measured: errors of one cause are alike."""
    return _MEASURED.sub("N", sentence)
