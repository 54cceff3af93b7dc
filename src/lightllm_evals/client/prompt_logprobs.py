"""Log-probabilities of a prompt's own tokens, from either generation's answer, by position.

[A] has n - 1 items ``[id, {"<next id>": logprob}]``, [B] has n items ``{"<id>": {"logprob",
"rank", ...}}`` after a first null. Never by token id: a repeated token has a value each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightllm_evals.client.answers import count
from lightllm_evals.client.failures import transient
from lightllm_evals.errors import BadResponseError

# Our embedded server need not score what nobody reads; LightLLM ignores keys that it does not
# know. SGLang has the same parameter under this name.
START_KEY = "logprob_start_len"

# Rounding may put a certain token a little above log 1.
_LARGEST = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPrompt:
    """A prompt as the server tokenized it, and what it thought of each token.

    Attributes:
        token_ids: All of them, BOS included. Shape [n].
        logprobs: Natural logarithms; None for the first token and for skipped ones. Shape [n].
        ranks: 1 for the most probable token; None where the server does not say. Shape [n].
        has_ranks: The server says of every token that it scores whether it is the most probable.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float | None, ...]
    ranks: tuple[int | None, ...]
    has_ranks: bool

    def sum_from(self, start: int) -> float:
        """Returns the log-probability of all tokens from a position on.

        Raises:
            BadResponseError: One of them has none.
        """
        values = self.logprobs[start:]
        if any(value is None for value in values):
            raise BadResponseError(
                f"the server gives no log-probability for a token from position {start} on; "
                "the first token of a text has one only behind a BOS token"
            )
        return math.fsum(value for value in values if value is not None)


def scoring_parameters(*, add_special_tokens: bool) -> dict[str, Any]:
    """Returns the parameters that ask for a prompt's log-probabilities, and one greedy token."""
    return {
        "do_sample": False,
        "max_new_tokens": 1,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "add_special_tokens": add_special_tokens,
        "skip_special_tokens": False,
        "ignore_eos": True,
        "return_details": False,
        # Only the newer dialect reads these two; the older one ignores what it does not know.
        "prompt_logprobs": 0,
        "disable_prompt_cache": True,
    }


def listed_tokens(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the generated tokens that an answer lists, [] where it lists none."""
    details = data.get("details")
    # A server with --use_tgi_api has them one level down.
    tokens = data.get("tokens") or (
        details.get("tokens") if isinstance(details, Mapping) else None
    )
    if not isinstance(tokens, list):
        return []
    return [token for token in tokens if isinstance(token, Mapping)]


def parse_prompt_logprobs(
    data: Mapping[str, Any],
    sent_ids: Sequence[int] = (),
    start: int = 0,
    *,
    needs_rank: bool = True,
) -> ScoredPrompt:
    """Returns the scored prompt in an answer of ``/generate``.

    Args:
        data: The answer.
        sent_ids: The prompt where it was sent as ids, which must come back as they were.
        start: Positions before it were not asked for and may have no value.
        needs_rank: A value of the newer dialect without a rank is one that was never computed;
            only our own server leaves ranks out for speed.

    Raises:
        BadResponseError: The values are missing, hidden by a cache, or of another prompt.
        TransientError: The answer is not whole.
    """
    ids, items = data.get("prompt_token_ids"), data.get("prompt_logprobs")
    if not isinstance(ids, list) or not isinstance(items, list):
        raise BadResponseError(
            "the answer has no prompt log-probabilities: the server runs without them"
        )
    if any(count(token_id) is None for token_id in ids):
        raise BadResponseError(f"the answer's prompt_token_ids are no numbers: {str(ids)[:200]}")
    if sent_ids and list(sent_ids) != ids:
        raise BadResponseError(
            f"the server scored other tokens than were sent: {len(ids)} instead of "
            f"{len(sent_ids)}, first different at {_first_difference(sent_ids, ids)}"
        )
    is_newer = len(items) == len(ids)
    if is_newer:
        pairs = list(_newer(ids, items, start, needs_rank=needs_rank))
    elif len(items) == len(ids) - 1:
        pairs = list(_older(ids, items, start))
    else:
        raise transient(f"the answer has {len(items)} log-probabilities for {len(ids)} tokens")
    return ScoredPrompt(
        token_ids=tuple(ids),
        logprobs=tuple(logprob for logprob, _ in pairs),
        ranks=tuple(rank for _, rank in pairs),
        has_ranks=is_newer,
    )


def _first_difference(sent: Sequence[int], got: Sequence[int]) -> int:
    pairs = zip(sent, got, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(sent), len(got)))


def _newer(
    ids: Sequence[int], items: Sequence[Any], start: int, *, needs_rank: bool
) -> Iterator[tuple[float | None, int | None]]:
    for position, (token_id, item) in enumerate(zip(ids, items, strict=True)):
        if item is None and (position == 0 or position < start):
            yield None, None
            continue
        found = item.get(str(token_id)) if isinstance(item, Mapping) else None
        if not isinstance(found, Mapping):
            raise BadResponseError(
                f"the answer does not score token {token_id} at position {position}"
            )
        rank = count(found.get("rank"))
        if needs_rank and rank is None and position >= start:
            # A position that the cache skipped keeps the value 0.0, which is a perfect score.
            raise BadResponseError(
                f"the server's prefix cache hides the score of the token at position {position}, "
                "although disable_prompt_cache was sent; start it with "
                "--disable_dynamic_prompt_cache"
            )
        yield _number(found.get("logprob"), position), rank


def _older(
    ids: Sequence[int], items: Sequence[Any], start: int
) -> Iterator[tuple[float | None, int | None]]:
    yield None, None
    for position, (token_id, item) in enumerate(zip(ids[1:], items, strict=True), 1):
        is_pair = isinstance(item, list) and len(item) == 2 and isinstance(item[1], Mapping)
        if not is_pair or item[0] != ids[position - 1] or str(token_id) not in item[1]:
            raise BadResponseError(
                f"the answer does not score token {token_id} at position {position}"
            )
        value = item[1][str(token_id)]
        if value is None and position < start:
            yield None, None
        else:
            yield _number(value, position), None


def _number(value: Any, position: int) -> float:
    """Returns a log-probability.

    No model gives one that is not finite: a logarithm of a softmax over finite logits is finite,
    and what is not comes from an overflow in half precision or from a masked token.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -math.inf < value < _LARGEST:
        raise BadResponseError(
            f"the log-probability at position {position} is {value!r}: a finite number of at "
            "most 0 was expected"
        )
    return float(value)
