"""Whether a server scores given texts rightly, found out by an answer that is known.

A greedy completion comes with its tokens' log-probabilities. The same tokens, sent as a prompt,
must get the same values at the same positions: then the server has prompt log-probabilities, no
cache hides them, and each is of the token and the position that we take it for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightllm_evals.client.asking import Asker
from lightllm_evals.client.failures import TransientError, server_message
from lightllm_evals.client.prompt_logprobs import ScoredPrompt, parse_prompt_logprobs
from lightllm_evals.errors import BadResponseError, ServerError
from lightllm_evals.records import Dialect, ServerInfo

# Tokens repeat, each time with another value: a server that keeps values by id is found out.
_TEXT = "1 2 1 2 3 1 2 1 2 3 1 2 1 2"
_NUM_TOKENS = 6

# Natural log units. Kernels for prompts and for single tokens round differently, in half
# precision by some hundredths.
_TOLERANCE = 0.15

_REMEDY: Mapping[Dialect, str] = {
    "a": "start it with --return_all_prompt_logprobs --disable_dynamic_prompt_cache "
    "--disable_chunked_prefill",
    "b": "start it with --enable_prompt_logprobs (--return_all_prompt_logprobs before July 2026)",
}


def check_scoring(asker: Asker, info: ServerInfo) -> None:
    """Makes sure that a server can score given texts, and does so rightly.

    Raises:
        ServerError: It cannot, or its values are not those that its own generation has.
    """
    if not info.has_prompt_logprobs:
        raise ServerError(
            f"{info.url} gives no log-probabilities of prompts, which benchmarks that score given "
            f"texts need: {_REMEDY[info.dialect]}, or leave these benchmarks out with "
            "-m 'not likelihood'"
        )
    try:
        prompt = _scored(asker, _TEXT)
        generated = _generated(asker, prompt.token_ids)
        ids = (*prompt.token_ids, *(token["id"] for token in generated))
        scored = _scored(asker, ids)
    except (BadResponseError, TransientError) as error:
        raise ServerError(f"{info.url} cannot score given texts: {error}") from error
    known = [float(token["logprob"]) for token in generated]
    seen = scored.logprobs[len(prompt.token_ids) :]
    for token, expected, value in zip(generated, known, seen, strict=True):
        if value is None or abs(value - expected) > _TOLERANCE:
            raise ServerError(
                f"{info.url} scores given texts wrongly: token {token['id']} has log-probability "
                f"{value} in a prompt and {expected:.4f} when it is generated; "
                f"{_REMEDY[info.dialect]}"
            )


def _scored(asker: Asker, inputs: str | Sequence[int]) -> ScoredPrompt:
    answer = _asked(asker, inputs, max_new_tokens=1, return_details=False)
    return parse_prompt_logprobs(answer, () if isinstance(inputs, str) else inputs)


def _generated(asker: Asker, token_ids: Sequence[int]) -> list[Mapping[str, Any]]:
    answer = _asked(asker, token_ids, max_new_tokens=_NUM_TOKENS, return_details=True)
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not tokens:
        raise BadResponseError("it lists no tokens, although return_details was sent")
    if any(not isinstance(token.get("logprob"), (int, float)) for token in tokens):
        raise BadResponseError("its tokens have no log-probability")
    return tokens


def _asked(asker: Asker, inputs: str | Sequence[int], **parameters: Any) -> Mapping[str, Any]:
    question = {
        "inputs": inputs if isinstance(inputs, str) else list(inputs),
        "parameters": {
            "do_sample": False,
            "repetition_penalty": 1.0,
            "add_special_tokens": True,
            "skip_special_tokens": False,
            "ignore_eos": True,
            "prompt_logprobs": 0,
            "disable_prompt_cache": True,
            **parameters,
        },
    }
    reply = asker.post("/generate", question, asker.generation_timeout_s)
    if reply.status != 200:
        raise BadResponseError(f"/generate answered {reply.status}: {server_message(reply.body)}")
    return asker.read(reply, "/generate")
