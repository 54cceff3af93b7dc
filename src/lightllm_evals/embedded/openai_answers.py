"""The parts of which answers of ``/v1/*`` are made, in either dialect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from lightllm_evals.embedded.engine import Completed, Token
from lightllm_evals.embedded.sampling import Sampling
from lightllm_evals.records import Dialect


def usage(dialect: Dialect, num_prompt: int, num_output: int) -> dict[str, Any]:
    """Returns the token counts."""
    counts: dict[str, Any] = {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_output,
        "total_tokens": num_prompt + num_output,
    }
    if dialect == "b":
        counts["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
    return counts


def completion_choice(
    text: str, logprob_lists: dict[str, Any] | None, finish_reason: str | None
) -> dict[str, Any]:
    """Returns one choice of a completion, or of a chunk of one."""
    return {"text": text, "index": 0, "logprobs": logprob_lists, "finish_reason": finish_reason}


def interleaved(completions: Sequence[Completed]) -> Completed:
    """Returns the tokens of all completions in the order in which a batch makes them."""
    rounds = zip_longest(*(c.tokens for c in completions))
    tokens = [token for made in rounds for token in made if token is not None]
    return Completed(tokens=tokens, finish_reason=completions[-1].finish_reason)


def logprobs(
    echoed: Sequence[tuple[str, float | None]], tokens: Sequence[Token], shown: Sequence[str]
) -> dict[str, Any]:
    """Returns the four lists of a completion's ``logprobs``; the top ones are the chosen."""
    pairs = [*echoed, *((text, t.logprob) for text, t in zip(shown, tokens, strict=True))]
    offsets, offset = [], 0
    for text, _ in pairs:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": [text for text, _ in pairs],
        "token_logprobs": [logprob for _, logprob in pairs],
        "top_logprobs": [None if p is None else {text: p} for text, p in pairs],
        "text_offset": offsets,
    }


def chat_choice(dialect: Dialect, index: int, text: str, finish_reason: str) -> dict[str, Any]:
    """Returns one choice of a chat."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if dialect == "b":
        message |= {"reasoning": "", "reasoning_content": None}
    message["tool_calls"] = None
    return {"index": index, "message": message, "finish_reason": finish_reason}


def first_chunk(index: int) -> dict[str, Any]:
    """Returns what [B] adds to the frame of a choice's first chunk: its role."""
    choice = {
        "index": index,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }
    return {"choices": [choice], "prompt_token_ids": None}


def chunk_choice(dialect: Dialect, index: int, text: str, finish_reason: str) -> dict[str, Any]:
    """Returns the choice of a chat's chunk."""
    if dialect == "a":
        delta = {"role": "assistant", "content": text, "tool_calls": None}
        return {"index": index, "delta": delta, "finish_reason": finish_reason or None}
    choice: dict[str, Any] = {"index": index, "delta": {"content": text}}
    nulls = {"logprobs": None, "token_ids": None}
    if finish_reason:
        return {**choice, "finish_reason": finish_reason, **nulls, "stop_reason": None}
    return {**choice, **nulls, "finish_reason": None}


def without_logprobs(sampling: Sampling) -> Sampling:
    """Returns the same parameters for an answer that does not show log-probabilities."""
    decoding = dataclasses.replace(sampling.decoding, wants_logprobs=False)
    return dataclasses.replace(sampling, decoding=decoding)
