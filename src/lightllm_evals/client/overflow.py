"""Whether a request that [A] refused without a reason was too long."""

from __future__ import annotations

import json

from lightllm_evals.client.answers import count, parse_object
from lightllm_evals.client.failures import TransientError, too_long
from lightllm_evals.client.transport import Transport
from lightllm_evals.errors import PromptTooLongError, RequestError
from lightllm_evals.records import Request, ServerInfo

_TIMEOUT_S = 30.0


def overflow(
    request: Request, info: ServerInfo | None, transport: Transport
) -> PromptTooLongError | None:
    """Returns the error with both numbers if the request cannot fit, None if it may.

    The 2025 generation answers any bad value on ``/v1`` with a bare 500. ``/tokens`` counts the
    prompt; of a chat it counts the messages without the template, so that a prompt which
    only just does not fit is not found.
    """
    limit = info.max_req_total_len if info else None
    if limit is None:
        return None
    num_tokens = len(request.token_ids) or _num_tokens(request, transport)
    max_new_tokens = request.params.max_new_tokens
    if num_tokens is None or num_tokens + max_new_tokens <= limit:
        return None
    return too_long(num_tokens, max_new_tokens, limit)


def _num_tokens(request: Request, transport: Transport) -> int | None:
    text = "\n".join(message.content for message in request.messages) or request.prompt
    question = {"text": text, "parameters": {"add_special_tokens": False}}
    try:
        reply = transport.exchange(
            "POST", "/tokens", body=json.dumps(question).encode(), timeout_s=_TIMEOUT_S
        )
        answer = parse_object(reply.body) if reply.status == 200 else {}
    except (TransientError, RequestError):
        # The refusal stands, without its reason.
        return None
    return count(answer.get("ntokens"))
