"""When a completion ends: LightLLM's rules, in either dialect.

[A] compares token ids only: a stop text is encoded on its own, and fires when the output's last
ids are the same. [B] keeps that and also looks for the text in the output. Either way the token
that completes the stop is part of the output.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lightllm_evals.embedded.engine import Token


class StopRules:
    """Follows one completion token by token."""

    def __init__(
        self,
        *,
        max_new_tokens: int,
        min_new_tokens: int = 1,
        eos_ids: Collection[int] = (),
        id_groups: Sequence[Sequence[int]] = (),
        texts: Sequence[str] = (),
    ) -> None:
        groups = tuple(map(tuple, id_groups))
        self.rules = (max_new_tokens, min_new_tokens, frozenset(eos_ids), groups, tuple(texts))
        self._max_new_tokens = max_new_tokens
        self._min_new_tokens = min_new_tokens
        self._eos_ids = eos_ids
        self._groups = [list(group) for group in id_groups if group]
        self._texts = [text for text in texts if text]
        self._longest_group = max(map(len, self._groups), default=0)
        self._longest_text = max(map(len, self._texts), default=0)
        self._count = 0
        self._last_ids: list[int] = []
        self._last_text = ""

    def push(self, token: Token) -> str:
        """Returns "" to go on, "stop" or "length" when this token is the last one."""
        self._count += 1
        if self._count >= self._min_new_tokens and token.id in self._eos_ids:
            return "stop"
        if self._groups and self._has_id_stop(token.id):
            return "stop"
        if self._texts and token.text and self._has_text_stop(token.text):
            return "stop"
        return "length" if self._count >= self._max_new_tokens else ""

    def _has_id_stop(self, token_id: int) -> bool:
        self._last_ids = [*self._last_ids, token_id][-self._longest_group :]
        return any(self._last_ids[-len(group) :] == group for group in self._groups)

    def _has_text_stop(self, text: str) -> bool:
        # A stop that ends in this token starts at most its length before it.
        window = self._last_text + text
        self._last_text = window[-self._longest_text :]
        return any(stop in window for stop in self._texts)


def trimmed(text: str, stops: Sequence[str]) -> str:
    """Returns the text up to the earliest stop text, as [B] does on ``/v1/completions``."""
    ends = [text.find(stop) for stop in stops if stop]
    return text[: min((end for end in ends if end >= 0), default=len(text))]
