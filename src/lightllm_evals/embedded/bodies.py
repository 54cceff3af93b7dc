"""JSON bodies as either generation of LightLLM writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lightllm_evals.embedded.wire import JSON_HEADERS, TEXT_HEADERS, HttpResponse
from lightllm_evals.records import Dialect

INTERNAL_ERROR = HttpResponse(status=500, body=b"Internal Server Error", headers=TEXT_HEADERS)


def compact(value: Any) -> bytes:
    """Returns JSON without spaces and with raw UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate cannot be UTF-8; JSON can still escape it.
    return text.encode("utf-8", "backslashreplace")


def native(value: Any) -> bytes:
    r"""Returns JSON as LightLLM's native answers have it: ``/`` is written ``\/``."""
    return compact(value).replace(b"/", b"\\/")


def json_response(value: Any, status: int = 200) -> HttpResponse:
    """Returns an answer with its content type."""
    return HttpResponse(status=status, body=compact(value), headers=JSON_HEADERS)


def native_response(members: Mapping[str, bytes]) -> HttpResponse:
    """Returns an answer of ``/generate``, which has no content type in either generation.

    Its members come as JSON, since some are kept from one answer to the next.
    """
    pairs = [b'"%b":%b' % (name.encode(), value) for name, value in members.items()]
    return HttpResponse(status=200, body=b"{" + b",".join(pairs) + b"}")


def error_response(dialect: Dialect, status: int, message: str) -> HttpResponse:
    """Returns a refusal in the dialect's own shape."""
    if dialect == "a":
        return json_response({"message": message}, status)
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return json_response({"error": error}, status)


def event(value: Any) -> bytes:
    """Returns a server-sent event of ``/v1/*``, with a space after the colon."""
    return b"data: " + compact(value) + b"\n\n"


def error_event(message: str) -> bytes:
    """Returns the one event that [B] sends when a stream cannot begin."""
    return event({"error": {"message": message, "type": "invalid_request_error"}})
