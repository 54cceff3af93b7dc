"""What an answer other than a good one means: which error, and whether to try again.

The two generations of LightLLM word their errors differently: ``{"message": ...}`` in 2025,
``{"error": {"message": ...}}`` in 2026, ``{"detail": [...]}`` where FastAPI checks the request,
and plain text for a 500.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lightllm_evals.errors import (
    BadResponseError,
    PromptTooLongError,
    RequestError,
    RequestRejectedError,
    ServerUnreachableError,
)

_SHOWN_CHARS = 300

# Statuses of a server that is busy or of a gateway before it: the next attempt may find it.
_BUSY = frozenset({429, 502, 503, 504})

_SUM_TOO_LONG = re.compile(r"(\d+)\s*\+\s*max_new_tokens\s+(\d+)\s*>\s*(\d+)")
_TEXT_TOO_LONG = re.compile(r"text length (\d+) exceeds the character limit (\d+)")


class TransientError(Exception):
    """An attempt failed in a way in which the next one may not; never leaves this package.

    Attributes:
        error: What to raise if no attempt is left.
        retry_after_s: How long the server asks to wait; None where it does not say.
        is_busy: The server said that it has too much to do.
    """

    def __init__(
        self, error: RequestError, retry_after_s: float | None = None, *, is_busy: bool = False
    ) -> None:
        super().__init__(error, retry_after_s)
        self.error = error
        self.retry_after_s = retry_after_s
        self.is_busy = is_busy


def transient(message: str) -> TransientError:
    """Returns the failure of an attempt whose answer is not LightLLM's, or not all of one."""
    return TransientError(BadResponseError(message))


def located(error: RequestError, request_id: str, url: str) -> RequestError:
    """Returns the same error with the request and the server that it belongs to."""
    return type(error)(f"{url}: {error}", request_id, url)


def status_failure(
    status: int, content_type: str, body: bytes, path: str, retry_after_s: float | None = None
) -> RequestError | TransientError:
    """Returns what an answer with a status other than 200 means.

    Args:
        status: The HTTP status.
        content_type: The header's value, "" without one.
        body: The whole body.
        path: The path that was asked.
        retry_after_s: The wait that the server asked for.
    """
    message = server_message(body)
    if status in _BUSY:
        error = ServerUnreachableError(f"{path} answered {status}: {message or 'busy'}")
        return TransientError(error, retry_after_s, is_busy=status in {429, 503})
    if looks_like_html(content_type, body):
        failure = not_lightllm(path, f"status {status} and an HTML page")
        return TransientError(failure) if status >= 500 else failure
    if 400 <= status < 500:
        return rejection(f"{path} answered {status}", message)
    if status == 500 and path.startswith("/v1/"):
        return RequestRejectedError(
            f"{path} answered 500: {message or 'no text'}, which is all that LightLLM of 2025 "
            "says here about any bad value; ask /generate for the reason"
        )
    if 300 <= status < 400:
        return not_lightllm(path, f"a redirect ({status})")
    return transient(f"{path} answered {status}: {message or 'no text'}")


def rejection(what: str, message: str) -> RequestRejectedError:
    """Returns the error for a request that the server finds wrong, by its own message."""
    if found := _SUM_TOO_LONG.search(message):
        return too_long(*(int(number) for number in found.groups()))
    if found := _TEXT_TOO_LONG.search(message):
        length, limit = found.groups()
        return PromptTooLongError(
            f"the prompt has {length} characters and the server takes {limit} at most; "
            "shorten the prompt or raise --max_req_total_len"
        )
    if "too long" in message:
        return PromptTooLongError(f"{what}: {message}")
    return RequestRejectedError(f"{what}: {message or 'without a reason'}")


def too_long(prompt_tokens: int, max_new_tokens: int, limit: int) -> PromptTooLongError:
    """Returns the error for a prompt that does not fit the limit of prompt plus output."""
    return PromptTooLongError(
        f"the prompt has {prompt_tokens} tokens, which with max_new_tokens {max_new_tokens} "
        f"exceeds the server's limit of {limit} tokens; shorten the prompt, lower "
        "max_new_tokens or raise --max_req_total_len"
    )


def length_limit(message: str) -> int | None:
    """Returns the limit on prompt plus output tokens that a refusal names, None without one."""
    found = _SUM_TOO_LONG.search(message)
    return int(found[3]) if found else None


def not_lightllm(path: str, what: str) -> BadResponseError:
    """Returns the error for an answer of some other program."""
    return BadResponseError(
        f"{path} answered with {what}: this does not look like a LightLLM server; check the URL"
    )


def looks_like_html(content_type: str, body: bytes) -> bool:
    """Returns whether a body is a page for people."""
    start = body[:256].lstrip().lower()
    return "text/html" in content_type.lower() or start.startswith((b"<!doctype html", b"<html"))


def server_message(body: bytes) -> str:
    """Returns the reason in an error body of either generation, or the start of its text.

    It is one line, whatever the server wrote.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return shown(body)
    message = message_of(data) if isinstance(data, Mapping) else ""
    return " ".join(message.split()) or shown(body)


def message_of(data: Mapping[str, Any]) -> str:
    """Returns the reason in an error object, "" where it has none."""
    error = data.get("error")
    if isinstance(error, Mapping):
        return str(error.get("message", error))
    if error:
        return str(error)
    if isinstance(data.get("detail"), list):
        return "; ".join(_fastapi_detail(item) for item in data["detail"])
    return str(data.get("message") or data.get("detail") or "")


def _fastapi_detail(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    location = item.get("loc", ())
    where = ".".join(str(part) for part in location) if isinstance(location, list) else ""
    return f"{where}: {item.get('msg', item)}"


def shown(body: bytes) -> str:
    """Returns the start of a body as one line of text for a message."""
    text = " ".join(body[: _SHOWN_CHARS * 4].decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
