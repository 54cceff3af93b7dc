"""The vocabulary: frozen records that every layer speaks in, with a JSON round trip."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Api = Literal["generate", "chat", "completions"]
Dialect = Literal["a", "b"]
Scoring = Literal["", "ll", "ppl-full", "rolling"]

Aggregation = Literal["micro", "macro"]
"""From samples to a score: over all of them, or the mean of the groups' scores."""

T = TypeVar("T")

SCORED = "scored"
"""Finish reason of a request that scores given texts and generates nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item of a data set.

    Attributes:
        id: The data set's own id; it becomes the pytest node id.
        fields: The record as the data set has it; ``sample["name"]`` reads it.
        group: Subject or task for grouped tables, "" where there is none.
    """

    id: str
    fields: Mapping[str, Any]
    group: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __repr__(self) -> str:
        # Reports print fixtures: a whole record would bury the verdict.
        return f"Sample(id={self.id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """What LightLLM is told about decoding, in LightLLM's own spelling.

    Every field is sent: each has a default in the server that changes with model or version.

    Attributes:
        max_new_tokens: Tokens to generate at most, >= 1.
        stop_sequences: Up to 10 texts that end the completion; never part of it.
        do_sample: False is greedy decoding.
        temperature: > 0; only used when sampling.
        top_p: In (0, 1].
        top_k: -1 for all, else >= 1.
        repetition_penalty: >= 1; 1 is none.
        presence_penalty: >= 0.
        frequency_penalty: >= 0.
        add_special_tokens: Whether the server adds BOS to a text prompt.
        skip_special_tokens: Whether special tokens are left out of the text.
        seed: Only servers of dialect b honour it; None sends none.
    """

    max_new_tokens: int
    stop_sequences: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    add_special_tokens: bool = True
    skip_special_tokens: bool = True
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One text whose likelihood is asked for.

    Attributes:
        context: What stands before it and is not scored; "" where everything is.
        continuation: What is scored, the space that joins it to the context included.
        text: What a normalised score is divided by the length of: no joining space.
    """

    context: str
    continuation: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """What a model says about one choice.

    Attributes:
        logprob: Sum of natural log-probabilities of the scored tokens, <= 0.
        num_tokens: How many tokens were scored, >= 1.
        is_greedy: Each of them is the most probable one; None where that was not asked.
    """

    logprob: float
    num_tokens: int
    is_greedy: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion, or the likelihoods of given texts, to ask for.

    Attributes:
        id: Unique in the run; the pytest node id of the case.
        params: How to decode.
        prompt: The text of a raw prompt; "" when ``messages`` or ``token_ids`` are given.
        messages: The turns of a chat, which the server's template renders (api "chat").
        token_ids: A prompt that is tokenized already; sent unchanged.
        api: Which of the server's interfaces is used.
        prefix: What the prompt shares with others (few-shot text); only a scheduling hint.
        repeat: 0 for the first completion of a sample; a stored one stands for its own only.
        choices: Texts to score instead of completing the prompt; their contexts go on where
            ``prompt``, which they share, ends.
        scoring: How they are scored (``LikelihoodVariant.kind``); "" for a completion.
        needs_greedy: Whether ``Likelihood.is_greedy`` is asked for.
    """

    id: str
    params: SamplingParams
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    token_ids: tuple[int, ...] = ()
    api: Api = "generate"
    prefix: str = ""
    repeat: int = 0
    choices: tuple[Choice, ...] = ()
    scoring: Scoring = ""
    needs_greedy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model returned for one request.

    Attributes:
        text: The completion, cut at the earliest stop text; nothing else is ever stripped.
        finish_reason: "stop" or "length", or a newer server's own word. "stop" also where
            the client found a stop text that the server ran over. SCORED where given texts
            were scored.
        prompt_tokens: Length of the prompt in tokens, None where the server did not say.
        output_tokens: Tokens generated, the stopping one included.
        latency_s: From sending the last attempt to its last byte.
        ttft_s: Time to first token; only measured on a stream.
        tpot_s: Mean time per output token after the first; only measured on a stream.
        attempts: 1 for an answer at the first try.
        server: Base URL of the replica that answered.
        likelihoods: One a choice, in the request's order; then there is no text.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    output_tokens: int
    latency_s: float
    ttft_s: float | None = None
    tpot_s: float | None = None
    attempts: int = 1
    server: str = ""
    likelihoods: tuple[Likelihood, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What the probe found out about a server; part of a run's identity.

    Attributes:
        url: Base URL without a trailing slash.
        dialect: "a" (2025) or "b" (2026) generation of LightLLM's wire format.
        model_name: What ``/get_model_name`` says.
        adds_bos: Whether the tokenizer adds a BOS token by default; None if unknown.
        max_req_total_len: Limit on prompt plus output tokens; None if unknown.
        running_max_req_size: Requests the server batches at most; None if unknown.
        is_tgi: The server runs with ``--use_tgi_api``.
        has_text_stop: Stop strings match on text, not only on token ids.
        has_prompt_logprobs: Prompt log-probabilities can be had.
        has_logprob_start: They need not be computed from the first token on.
        is_greedy_repeatable: Two greedy requests gave the same text.
        settings: The launch settings that ``/get_server_info`` reports, {} where it has none.
    """

    url: str
    dialect: Dialect
    model_name: str
    adds_bos: bool | None = None
    max_req_total_len: int | None = None
    running_max_req_size: int | None = None
    is_tgi: bool = False
    has_text_stop: bool | None = None
    has_prompt_logprobs: bool = False
    has_logprob_start: bool = False
    is_greedy_repeatable: bool | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def to_json(record: Any) -> dict[str, Any]:
    """Returns a record as plain data: dicts, lists, strings, numbers, booleans, None."""
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def from_json(kind: type[T], data: Mapping[str, Any]) -> T:
    """Returns the record of class ``kind`` that ``to_json`` wrote; unknown keys are ignored.

    Raises:
        TypeError: A field without a default is missing.
    """
    values = {}
    for f in dataclasses.fields(kind):  # type: ignore[arg-type]  # T is always a dataclass here
        if f.name in data:
            values[f.name] = _restored(f.name, data[f.name])
    return kind(**values)


_LISTED: Mapping[str, type] = {"messages": Message, "choices": Choice, "likelihoods": Likelihood}


def _restored(name: str, value: Any) -> Any:
    if name == "params":
        return from_json(SamplingParams, value)
    if name == "metrics":
        # A value that has a weight is a pair.
        return {key: _restored("", item) for key, item in value.items()}
    if name in _LISTED:
        return tuple(from_json(_LISTED[name], item) for item in value)
    return tuple(value) if isinstance(value, list) else value
