"""Whether a server scores given texts rightly, found out by an answer that is known.

A greedy completion comes with its tokens' log-probabilities. The same tokens, sent as a prompt,
must get the same values at the same positions: then the server has prompt log-probabilities, no
cache hides them, and each is of the token and the position that we take it for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightllm_evals.client.answers import count
from lightllm_evals.client.asking import Asker
from lightllm_evals.client.failures import TransientError, server_message
from lightllm_evals.client.prompt_logprobs import (
    START_KEY,
    ScoredPrompt,
    listed_tokens,
    parse_prompt_logprobs,
    scoring_parameters,
)
from lightllm_evals.errors import BadResponseError, ServerError
from lightllm_evals.records import Dialect, ServerInfo

# A model goes on in its own words here, so that their values are not all the same.
_TEXT = "Once upon a time there was a"
_NUM_TOKENS = 8

# Natural log units. Kernels for prompts and for single tokens round differently, in half
# precision by some hundredths.
_TOLERANCE = 0.15

_REMEDY: Mapping[Dialect, str] = {
    "a": "start it with --return_all_prompt_logprobs --disable_dynamic_prompt_cache "
    "--disable_chunked_prefill",
    "b": "start it with --enable_prompt_logprobs (--return_all_prompt_logprobs before July 2026)",
}


class _Generated(NamedTuple):
    token_id: int
    logprob: float


def check_scoring(asker: Asker, info: ServerInfo) -> None:
    """Makes sure that a server can score given texts, and does so rightly.

    Raises:
        ServerError: It cannot, or its values are not those that its own generation has.
        ServerUnreachableError: It does not answer.
    """
    remedy = _REMEDY[info.dialect]
    if not info.has_prompt_logprobs:
        raise ServerError(
            f"{info.url} gives no log-probabilities of prompts, which benchmarks that score given "
            f"texts need: {remedy}, or leave these benchmarks out with -m 'not likelihood'"
        )
    try:
        prompt_ids = _scored(asker, info, _TEXT, len(_TEXT)).token_ids
        known = _generated(asker, prompt_ids)
        ids = [token.token_id for token in known]
        # The tokens follow once more, in another place: a server that keeps values by token id,
        # and not by position, gives the first ones the values of the last ones.
        scored = _scored(asker, info, (*prompt_ids, *ids, *ids), len(prompt_ids))
    except (BadResponseError, TransientError) as error:
        reason = error.error if isinstance(error, TransientError) else error
        raise ServerError(f"{info.url} cannot score given texts: {reason}") from error
    seen = scored.logprobs[len(prompt_ids) :]
    if len(set(seen)) == 1:
        raise ServerError(
            f"{info.url} scores given texts wrongly: every token of a prompt has log-probability "
            f"{seen[0]}; {remedy}"
        )
    for token, value in zip(known, seen, strict=False):
        if value is None or abs(value - token.logprob) > _TOLERANCE:
            raise ServerError(
                f"{info.url} scores given texts wrongly: token {token.token_id} has "
                f"log-probability {value} in a prompt and {token.logprob:.4f} when it is "
                f"generated; {remedy}"
            )


def _scored(
    asker: Asker, info: ServerInfo, inputs: str | Sequence[int], start: int
) -> ScoredPrompt:
    # Asked in the way in which benchmarks will ask.
    answer = _asked(asker, inputs, **({START_KEY: start} if info.has_logprob_start else {}))
    return parse_prompt_logprobs(
        answer,
        () if isinstance(inputs, str) else inputs,
        start,
        needs_rank=not info.has_logprob_start,
    )


def _generated(asker: Asker, token_ids: Sequence[int]) -> list[_Generated]:
    answer = _asked(asker, token_ids, max_new_tokens=_NUM_TOKENS, return_details=True)
    tokens = listed_tokens(answer)
    if not tokens:
        raise BadResponseError("it lists no tokens, although return_details was sent")
    return [_known(token) for token in tokens]


def _known(token: Mapping[str, Any]) -> _Generated:
    token_id, logprob = count(token.get("id")), token.get("logprob")
    if token_id is None or not isinstance(logprob, (int, float)):
        raise BadResponseError(f"a generated token has no log-probability: {dict(token)!s}")
    return _Generated(token_id, float(logprob))


def _asked(asker: Asker, inputs: str | Sequence[int], **parameters: Any) -> Mapping[str, Any]:
    question = {
        "inputs": inputs if isinstance(inputs, str) else list(inputs),
        "parameters": scoring_parameters(add_special_tokens=True) | parameters,
    }
    reply = asker.post("/generate", question, asker.generation_timeout_s)
    if reply.status != 200:
        raise BadResponseError(f"/generate answered {reply.status}: {server_message(reply.body)}")
    return asker.read(reply, "/generate")
