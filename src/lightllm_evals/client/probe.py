"""What a few small requests, sent before any load, find out about a server.

The order is that of LightLLM's protocol: ``/health`` once and alone, since the first call of an
[A] server resets its request counter and kills the engine if a request is in flight; then who
it is; then what it can do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from lightllm_evals.client.answers import count, parse_object
from lightllm_evals.client.asking import Asker
from lightllm_evals.client.failures import TransientError, length_limit, server_message
from lightllm_evals.client.prompt_logprobs import (
    START_KEY,
    listed_tokens,
    parse_prompt_logprobs,
)
from lightllm_evals.client.transport import Reply
from lightllm_evals.errors import BadResponseError, RequestTimeoutError, ServerUnreachableError
from lightllm_evals.records import Dialect, ServerInfo

_PROMPT = "The capital of France is"
_NUM_TOKENS = 8

# More than any server takes: [A] says its limit when it refuses it.
_OVERLONG = 10**9
_OVERLONG_TIMEOUT_S = 10.0

_PARAMETERS = {
    "do_sample": False,
    "max_new_tokens": _NUM_TOKENS,
    "repetition_penalty": 1.0,
    "add_special_tokens": True,
    "skip_special_tokens": True,
}


def probe(asker: Asker, *, wait_s: float) -> ServerInfo:
    """Returns what can be found out about a server.

    Raises:
        ServerUnreachableError: It is not healthy within ``wait_s``, or does not generate.
        BadResponseError: What answers is not LightLLM.
    """
    asker.wait_until_healthy(wait_s)
    try:
        return _findings(asker)
    except RequestTimeoutError as error:
        raise ServerUnreachableError(str(error), "", asker.url) from error


def _findings(asker: Asker) -> ServerInfo:
    model_name = _model_name(asker)
    settings = _settings(asker)
    first = _generated(asker)
    adds_bos = _adds_bos(asker)
    dialect = _dialect(asker, settings)
    again = _generated(asker)
    has_prompt_logprobs, has_logprob_start = _prompt_logprobs(asker, first, dialect)
    return ServerInfo(
        url=asker.url,
        dialect=dialect,
        model_name=model_name,
        adds_bos=adds_bos,
        max_req_total_len=_max_req_total_len(asker, settings, dialect),
        running_max_req_size=count(settings.get("running_max_req_size")),
        # Only that mode has a bare text.
        is_tgi=isinstance(first["generated_text"], str),
        has_text_stop=_has_text_stop(asker, first),
        has_prompt_logprobs=has_prompt_logprobs,
        has_logprob_start=has_logprob_start,
        is_greedy_repeatable=first["generated_text"] == again["generated_text"],
        settings=settings,
    )


def straddling_stop(texts: Sequence[str]) -> str | None:
    """Returns a text that begins in one token and ends in the next, None if there is none.

    It is made so that no tokenizer splits it in the way in which the model did: matching it
    takes a comparison of texts.
    """
    whole = "".join(texts)
    end = 0
    for left, right in itertools.pairwise(texts):
        end += len(left)
        if len(left) > 1 and right:
            stop = left[-1] + right[0]
            if whole.find(stop) == end - 1:
                return stop
    return None


def _model_name(asker: Asker) -> str:
    path = "/get_model_name"
    name = asker.read(asker.get(path), path).get("model_name")
    if not isinstance(name, str):
        raise asker.foreign(f"{path} names no model")
    return name


def _settings(asker: Asker) -> Mapping[str, Any]:
    """Returns the launch settings, {} where the server has no way to tell them."""
    path = "/get_server_info"
    reply = asker.get(path)
    return asker.read(reply, path) if reply.status == 200 else {}


def _adds_bos(asker: Asker) -> bool | None:
    with_special = _num_tokens(asker, {})
    without = _num_tokens(asker, {"add_special_tokens": False})
    if with_special is None or without is None:
        return None
    return with_special > without


def _num_tokens(asker: Asker, parameters: Mapping[str, Any]) -> int | None:
    reply = asker.post("/tokens", {"text": _PROMPT, "parameters": parameters})
    return count(_object(reply).get("ntokens"))


def _dialect(asker: Asker, settings: Mapping[str, Any]) -> Dialect:
    """Returns the generation, by the wording of a refusal, else by the settings it tells."""
    reply = _post(asker, do_sample=True, temperature=-1, max_new_tokens=1)
    answer = _object(reply)
    if reply.status != 200 and "error" in answer:
        return "b"
    if reply.status != 200 and "message" in answer:
        return "a"
    return "b" if settings else "a"


def _max_req_total_len(asker: Asker, settings: Mapping[str, Any], dialect: Dialect) -> int | None:
    limit = count(settings.get("max_req_total_len"))
    if limit is not None:
        return limit
    if dialect == "b":
        # It would cut max_new_tokens to fit, and generate until the context is full.
        return _max_model_len(asker)
    try:
        reply = _post(asker, timeout_s=_OVERLONG_TIMEOUT_S, max_new_tokens=_OVERLONG)
    except RequestTimeoutError:
        return None
    return None if reply.status == 200 else length_limit(server_message(reply.body))


def _max_model_len(asker: Asker) -> int | None:
    models = _object(asker.get("/v1/models")).get("data")
    first = models[0] if isinstance(models, list) and models else None
    return count(first.get("max_model_len")) if isinstance(first, Mapping) else None


def _has_text_stop(asker: Asker, first: Mapping[str, Any]) -> bool | None:
    texts = [str(token.get("text", "")) for token in listed_tokens(first)]
    stop = straddling_stop(texts)
    if stop is None:
        return None
    return len(listed_tokens(_generated(asker, stop_sequences=[stop]))) < len(texts)


def _prompt_logprobs(
    asker: Asker, first: Mapping[str, Any], dialect: Dialect
) -> tuple[bool, bool]:
    """Returns whether they can be had, and whether from some position on only."""
    if dialect == "a" and not isinstance(first.get("prompt_logprobs"), list):
        # There it is a mode of the server: every answer has them, or none.
        return False, False
    ids = [number for token in listed_tokens(first) if (number := count(token.get("id")))][:3]
    reply = _post(
        asker,
        inputs=ids if len(ids) == 3 else _PROMPT,
        max_new_tokens=1,
        prompt_logprobs=0,
        # A hit in the cache would leave the values out.
        disable_prompt_cache=True,
        **{START_KEY: 2},
    )
    answer = _object(reply)
    try:
        scored = parse_prompt_logprobs(answer, start=2, needs_rank=False)
    except (BadResponseError, TransientError):
        # Whether they are right is found out before they are needed.
        return isinstance(answer.get("prompt_logprobs"), list), False
    return True, len(scored.logprobs) > 2 and scored.logprobs[1] is None


def _generated(asker: Asker, **parameters: Any) -> Mapping[str, Any]:
    """Returns the answer to a greedy generation of a few tokens, with their details."""
    try:
        reply = _post(asker, return_details=True, **parameters)
    except RequestTimeoutError as error:
        raise ServerUnreachableError(
            f"the server at {asker.url} says that it is healthy, but generates nothing within "
            f"{asker.generation_timeout_s:g} s: its engine is dead or stuck; restart it",
            "",
            asker.url,
        ) from error
    if reply.status in {400, 417}:
        raise BadResponseError(
            f"{asker.url} refuses to generate {_NUM_TOKENS} tokens: {server_message(reply.body)}",
            "",
            asker.url,
        )
    answer = asker.read(reply, "/generate")
    if "generated_text" not in answer:
        raise asker.foreign("/generate answered without generated_text")
    return answer


def _post(
    asker: Asker,
    *,
    inputs: str | Sequence[Any] = _PROMPT,
    timeout_s: float | None = None,
    **parameters: Any,
) -> Reply:
    question = {"inputs": inputs, "parameters": _PARAMETERS | parameters}
    return asker.post("/generate", question, timeout_s or asker.generation_timeout_s)


def _object(reply: Reply) -> Mapping[str, Any]:
    """Returns the object in an answer of any status, {} where there is none."""
    try:
        return parse_object(reply.body)
    except TransientError:
        return {}
