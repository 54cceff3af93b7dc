"""Requests as LightLLM's interfaces want them; every value explicit, since defaults vary."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lightllm_evals.errors import ConfigError
from lightllm_evals.prompts.chat_template import known_bos
from lightllm_evals.records import Request, SamplingParams, ServerInfo

MAX_STOPS = 10

# [B] refuses a request with a longer one.
_MAX_STOP_BYTES = 255

_PATHS = {
    ("generate", False): "/generate",
    ("generate", True): "/generate_stream",
    ("chat", False): "/v1/chat/completions",
    ("chat", True): "/v1/chat/completions",
    ("completions", False): "/v1/completions",
    ("completions", True): "/v1/completions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request: where it goes and what it says."""

    path: str
    body: bytes


def build(request: Request, info: ServerInfo | None, *, stream: bool) -> Call:
    """Returns the HTTP request for a completion.

    Args:
        request: What to ask for.
        info: What the probe found out; None sends only what every server takes.
        stream: Ask for server-sent events.

    Raises:
        ConfigError: The interface cannot take this form of prompt, or would begin it with a
            second BOS.
    """
    if request.api == "generate":
        _check_bos(request, info)
        payload = _native(request, info)
    else:
        payload = _openai(request, info)
        if stream:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}
    return Call(path=_PATHS[request.api, stream], body=json.dumps(payload).encode())


def stop_hints(params: SamplingParams) -> list[str]:
    """Returns the stop texts to send: those that a server takes, each once, 10 at most.

    They spare the server tokens; the client cuts at all of them in any case.
    """
    usable = [
        stop
        for stop in dict.fromkeys(params.stop_sequences)
        if stop and len(stop.encode("utf-8", "surrogatepass")) <= _MAX_STOP_BYTES
    ]
    return usable[:MAX_STOPS]


def _native(request: Request, info: ServerInfo | None) -> dict[str, Any]:
    params = request.params
    parameters: dict[str, Any] = {
        **_common(params, info),
        "temperature": params.temperature,
        "max_new_tokens": params.max_new_tokens,
        "stop_sequences": stop_hints(params) or None,
        "return_details": False,
    }
    if info is None or info.is_tgi:
        # Without it a server with --use_tgi_api gives neither finish reason nor counts.
        del parameters["return_details"]
        parameters["details"] = True
    return {"inputs": _prompt(request), "parameters": parameters}


def _check_bos(request: Request, info: ServerInfo | None) -> None:
    adds_bos = info is not None and info.adds_bos and request.params.add_special_tokens
    if adds_bos and (bos := known_bos(request.prompt)):
        raise ConfigError(
            f"The prompt of {request.id} begins with {bos!r}, and the server's tokenizer adds BOS "
            "to it: use --lightllm-param add_special_tokens=false, or leave it out of the prompt."
        )


def _openai(request: Request, info: ServerInfo | None) -> dict[str, Any]:
    params = request.params
    payload: dict[str, Any] = {
        "model": info.model_name if info and info.model_name else "default",
        **_common(params, info),
        # [A]'s chat ignores do_sample: there only temperature 0 is greedy.
        "temperature": params.temperature if params.do_sample else 0,
        "max_tokens": params.max_new_tokens,
        "stop": stop_hints(params) or None,
    }
    if request.api == "chat":
        payload["messages"] = _messages(request)
    else:
        payload["prompt"] = _prompt(request)
    return payload


def _common(params: SamplingParams, info: ServerInfo | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "do_sample": params.do_sample,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "repetition_penalty": params.repetition_penalty,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
        "ignore_eos": False,
        "add_special_tokens": params.add_special_tokens,
        "skip_special_tokens": params.skip_special_tokens,
    }
    if params.seed is not None and info is not None and info.dialect == "b":
        values["seed"] = params.seed
    return values


def _prompt(request: Request) -> str | list[int]:
    if request.token_ids:
        return list(request.token_ids)
    if request.messages:
        raise ConfigError(
            f"Request {request.id} has chat messages, which api {request.api!r} cannot take: "
            "render them to a prompt, or use api 'chat'."
        )
    return request.prompt


def _messages(request: Request) -> list[dict[str, str]]:
    if request.token_ids:
        raise ConfigError(
            f"Request {request.id} has token ids, which api 'chat' cannot take: use api "
            "'generate'."
        )
    if not request.messages:
        return [{"role": "user", "content": request.prompt}]
    return [{"role": message.role, "content": message.content} for message in request.messages]
