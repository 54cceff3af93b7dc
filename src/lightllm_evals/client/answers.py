"""LightLLM's answers as one shape, whichever generation and interface they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightllm_evals.client.failures import (
    TransientError,
    looks_like_html,
    message_of,
    not_lightllm,
    rejection,
    shown,
    transient,
)
from lightllm_evals.errors import RequestRejectedError

# Only servers with --use_tgi_api that were not asked for details give no reason.
UNKNOWN_FINISH = "unknown"

# Finish reasons of [B] that say the engine gave up: the text is no answer.
_FAILED = frozenset({"abort", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one generation returned, as the server has it.

    Attributes:
        text: The text; the stop text that ended it may be part of it.
        finish_reason: The server's word, ``UNKNOWN_FINISH`` where it has none.
        prompt_tokens: None where the server does not say.
        output_tokens: Tokens generated; 0 where the server does not say.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    output_tokens: int


def cut(answer: Answer, stops: Iterable[str]) -> Answer:
    """Returns an answer up to its earliest stop text; nothing else is ever stripped.

    The server's own stop is only a hint: it leaves the stop text in, and [A] matches token
    ids, so that it runs over a stop text that is tokenized otherwise. There ``length`` becomes
    ``stop``: the completion did end, the server just did not see it.
    """
    places = [place for stop in stops if stop and (place := answer.text.find(stop)) >= 0]
    if not places:
        return answer
    reason = "stop" if answer.finish_reason == "length" else answer.finish_reason
    return replace(answer, text=answer.text[: min(places)], finish_reason=reason)


def whole_characters(text: str) -> str:
    """Returns a text that can be written as UTF-8, the same one where it can be already.

    JSON may name half a character; two halves, from two events of a stream, are joined, and one
    alone becomes U+FFFD.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def parse(body: bytes, content_type: str) -> Answer:
    """Returns the answer in the body of a 200, the first one where there are several.

    Raises:
        RequestRejectedError: It is an error object.
        TransientError: It is a page for people, cut, not JSON, not LightLLM's, or of a
            generation that failed.
    """
    if looks_like_html(content_type, body):
        # The probe found LightLLM there: a page is a proxy's, for as long as it is in trouble.
        raise TransientError(not_lightllm("the server", "an HTML page"))
    data = parse_object(body)
    if data.get("error"):
        raise failed_event(data)
    if "choices" in data:
        return _openai(data)
    return _native(data)


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Returns the object in a body; with --use_tgi_api it may be wrapped in a list.

    Raises:
        TransientError: There is none.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        what = "is empty" if not body.strip() else f"is not JSON or cut: {shown(body)}"
        raise transient(f"the answer {what}") from error
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, Mapping):
        raise transient(f"the answer is no object: {shown(body)}")
    return data


def _native(data: Mapping[str, Any]) -> Answer:
    details = data.get("details")
    details = details if isinstance(details, Mapping) else {}
    text = _first(data.get("generated_text"))
    if not isinstance(text, str):
        raise transient(f"the answer has no generated_text: {str(dict(data))[:200]}")
    reason = _first(data.get("finish_reason", details.get("finish_reason")))
    tokens = _first(data.get("count_output_tokens", details.get("generated_tokens")))
    return Answer(
        text=whole_characters(text),
        finish_reason=check_finish(reason),
        prompt_tokens=count(data.get("prompt_tokens", _tgi_prompt_tokens(details))),
        output_tokens=count(tokens) or 0,
    )


def _tgi_prompt_tokens(details: Mapping[str, Any]) -> Any:
    token = _first(details.get("tokens"))
    return token.get("prompt_tokens") if isinstance(token, Mapping) else None


def _openai(data: Mapping[str, Any]) -> Answer:
    choice = _first(data["choices"])
    if not isinstance(choice, Mapping):
        raise transient(f"the answer has no choice: {str(dict(data))[:200]}")
    message = choice.get("message")
    # A chat answer that only calls a tool has null content.
    chat_text = message.get("content") or "" if isinstance(message, Mapping) else None
    text = choice.get("text") if chat_text is None else chat_text
    if not isinstance(text, str):
        raise transient(f"the answer has no text: {str(dict(choice))[:200]}")
    usage = data.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Answer(
        text=whole_characters(text),
        finish_reason=check_finish(choice.get("finish_reason")),
        prompt_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")) or 0,
    )


def _first(value: Any) -> Any:
    """Returns the first of a list, else the value: n = 1 is written either way."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def count(value: Any) -> int | None:
    """Returns a number of tokens, None where the value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def check_finish(reason: Any) -> str:
    """Returns a finish reason as text.

    Raises:
        TransientError: The reason says that there is no answer.
    """
    text = str(reason) if reason else UNKNOWN_FINISH
    if text in _FAILED:
        raise transient(f"the server gave up on the generation: finish_reason {text!r}")
    return text


def failed_event(data: Mapping[str, Any]) -> RequestRejectedError | TransientError:
    """Returns what an error object with status 200 means."""
    error = data["error"]
    code = error.get("code") if isinstance(error, Mapping) else None
    message = message_of(data)
    if isinstance(code, int) and (code in {429, 499} or code >= 500):
        return transient(f"the server failed in the middle of its answer: {message}")
    return rejection("the server refused the request", message)
