"""The bodies of ``/v1/completions`` and ``/v1/chat/completions`` in either dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightllm_evals.embedded import form_fields as fields
from lightllm_evals.embedded.form_fields import FieldError, Location, Parser, optional, problem
from lightllm_evals.records import Dialect

REQUIRED = object()
"""In place of a default."""

_STOP = fields.union({"str": fields.text, "list[str]": fields.list_of(fields.text)})
_PROMPT = fields.union(
    {
        "str": fields.text,
        "list[str]": fields.list_of(fields.text),
        "list[int]": fields.list_of(fields.integer),
        "list[list[int]]": fields.list_of(fields.list_of(fields.integer)),
    }
)


class Field(NamedTuple):
    """How a field is read and what it is when it is absent."""

    parser: Parser
    default: Any


_COMMON = {
    "stream": Field(optional(fields.boolean), False),
    "stop": Field(optional(_STOP), None),
    "temperature": Field(optional(fields.number), 1.0),
    "top_p": Field(optional(fields.number), 1.0),
    "top_k": Field(optional(fields.integer), -1),
    "n": Field(optional(fields.integer), 1),
    "presence_penalty": Field(optional(fields.number), 0.0),
    "frequency_penalty": Field(optional(fields.number), 0.0),
    "repetition_penalty": Field(optional(fields.number), 1.0),
    "ignore_eos": Field(optional(fields.boolean), False),
    "logit_bias": Field(optional(fields.mapping), None),
}
_ONLY_A = {
    "model": Field(fields.text, REQUIRED),
    "max_tokens": Field(optional(fields.integer), 16),
}
_ONLY_B = {
    "max_tokens": Field(optional(fields.integer), None),
    "max_completion_tokens": Field(optional(fields.integer), None),
    "seed": Field(optional(fields.integer), -1),
    "stream_options": Field(optional(fields.mapping), None),
}
_COMPLETION = {
    "prompt": Field(_PROMPT, REQUIRED),
    "suffix": Field(optional(fields.text), None),
    "best_of": Field(optional(fields.integer), 1),
    "echo": Field(optional(fields.boolean), False),
    "logprobs": Field(optional(fields.integer), None),
}


def completion_form(dialect: Dialect) -> dict[str, Field]:
    """Returns the fields of ``/v1/completions``."""
    if dialect == "a":
        do_sample = Field(optional(fields.boolean), False)
        return {**_ONLY_A, **_COMPLETION, **_COMMON, "do_sample": do_sample}
    do_sample = Field(optional(fields.boolean), True)
    model = Field(fields.text, REQUIRED)
    return {"model": model, **_COMPLETION, **_COMMON, **_ONLY_B, "do_sample": do_sample}


def chat_form(dialect: Dialect) -> dict[str, Field]:
    """Returns the fields of ``/v1/chat/completions``."""
    function_call = Field(optional(fields.text), "none")
    if dialect == "a":
        messages = Field(fields.list_of(_message), REQUIRED)
        return {**_ONLY_A, "messages": messages, "function_call": function_call, **_COMMON}
    return {
        "model": Field(fields.text, "default"),
        "messages": Field(fields.list_of(_message_b), REQUIRED),
        "function_call": function_call,
        **_COMMON,
        **_ONLY_B,
        "do_sample": Field(optional(fields.boolean), True),
    }


def read_form(form: Mapping[str, Field], body: bytes, dialect: Dialect) -> dict[str, Any]:
    """Returns the value of each field; unknown fields are ignored.

    Raises:
        FieldError: The body is no JSON object, or fields are missing or of another type.
    """
    raw = _object(body)
    if dialect == "b":
        # Its defaults from the model's configuration are filled in before the check.
        raw = {**raw, **{n: raw.get(n, 0.0) for n in ("presence_penalty", "frequency_penalty")}}
    values, problems = {}, []
    for name, field in form.items():
        if name in raw:
            try:
                values[name] = field.parser(raw[name], (name,))
            except FieldError as error:
                problems += error.problems
        elif field.default is REQUIRED:
            problems.append(problem("missing", (name,), "Field required", raw))
        else:
            values[name] = field.default
    if problems:
        raise FieldError(problems)
    return values


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        raise FieldError([problem("missing", (), "Field required", None)])
    try:
        raw = json.loads(body)
    except json.JSONDecodeError as error:
        refusal = problem("json_invalid", (error.pos,), "JSON decode error", {})
        raise FieldError([{**refusal, "ctx": {"error": error.msg}}]) from error
    except UnicodeDecodeError as error:
        refusal = problem("json_invalid", (error.start,), "JSON decode error", {})
        raise FieldError([{**refusal, "ctx": {"error": str(error)}}]) from error
    if not isinstance(raw, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise FieldError([problem("model_attributes_type", (), message, raw)])
    return raw


def _content_part(value: Any, where: Location) -> dict[str, Any]:
    part = fields.mapping(value, where)
    if "type" not in part:
        raise FieldError([problem("missing", (*where, "type"), "Field required", part)])
    fields.text(part["type"], (*where, "type"))
    return part


_CONTENT = fields.union(
    {"str": fields.text, "list[MessageContent]": fields.list_of(_content_part)}
)


def _message(value: Any, where: Location) -> dict[str, Any]:
    """Takes ``{"role", "content"}``, as every message is in [A] and the user's in [B]."""
    if not isinstance(value, dict):
        message = "Input should be a valid dictionary or instance of Message"
        raise FieldError([problem("model_type", where, message, value)])
    problems, parsed = [], {}
    for name, parser in (("role", fields.text), ("content", _CONTENT)):
        if name not in value:
            problems.append(problem("missing", (*where, name), "Field required", value))
            continue
        try:
            parsed[name] = parser(value[name], (*where, name))
        except FieldError as error:
            problems += error.problems
    if problems:
        raise FieldError(problems)
    return parsed


_GENERIC_ROLES = ("system", "assistant", "tool", "function")


def _generic_message(value: Any, where: Location) -> dict[str, Any]:
    """Takes a message of the other roles in [B], whose content may be missing."""
    role = value.get("role") if isinstance(value, dict) else None
    if not isinstance(role, str) or role.lower() not in _GENERIC_ROLES:
        message = (
            "Value error, 'role' must be one of 'system', 'assistant', 'tool', or "
            "'function' (case-insensitive)."
        )
        where = (*where, "role")
        raise FieldError([problem("value_error", where, message, role, ctx={"error": {}})])
    content = optional(_CONTENT)(value.get("content"), (*where, "content"))
    return {"role": role.lower(), "content": content}


_message_b = fields.union(
    {"ChatCompletionMessageGenericParam": _generic_message, "Message": _message}
)
