"""The ``parameters`` of ``/generate``: defaults, limits and refusals of either dialect.

LightLLM keeps them in a C structure, and the types that it takes are those that ctypes takes:
integers are not parsed from text, any truthy value is a true boolean. The same structure here
gives the same answers. Its limits are in lightllm/server/core/objs/sampling_params.py
(https://github.com/ModelTC/lightllm).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightllm_evals.embedded.engine import Decoding
from lightllm_evals.records import Dialect

MAX_BEST_OF = 8
MAX_STOP_SEQUENCES = 10
MAX_STOP_TOKENS = 256
MAX_STOP_BYTES = 256
MAX_CONSTRAINT_BYTES = 2048
MAX_ALLOWED_IDS = 256
MAX_BANNED_IDS = 10
MAX_PROMPT_LOGPROBS = 1024
GREEDY_BELOW_TEMPERATURE = 1e-5

Encode = Callable[[str], list[int]]


class ParameterError(Exception):
    """The request is refused with the message as LightLLM words it.

    Attributes:
        is_value: A bad value, in contrast to a bad type or a missing key.
    """

    def __init__(self, message: str, is_value: bool) -> None:
        super().__init__(message, is_value)
        self.message = message
        self.is_value = is_value


class _Fields(ctypes.Structure):
    _fields_ = (
        ("best_of", ctypes.c_int),
        ("n", ctypes.c_int),
        ("do_sample", ctypes.c_bool),
        ("presence_penalty", ctypes.c_float),
        ("frequency_penalty", ctypes.c_float),
        ("repetition_penalty", ctypes.c_float),
        ("temperature", ctypes.c_float),
        ("top_p", ctypes.c_float),
        ("top_k", ctypes.c_int),
        ("ignore_eos", ctypes.c_bool),
        ("max_new_tokens", ctypes.c_int),
        ("min_new_tokens", ctypes.c_int),
        ("input_penalty", ctypes.c_bool),
        ("skip_special_tokens", ctypes.c_bool),
        ("add_special_tokens", ctypes.c_bool),
        ("add_spaces_between_special_tokens", ctypes.c_bool),
        ("print_eos_token", ctypes.c_bool),
        ("disable_prompt_cache", ctypes.c_bool),
        ("seed", ctypes.c_longlong),
        ("prompt_logprobs", ctypes.c_int),
    )


_DEFAULTS: dict[str, Any] = {
    "best_of": 1,
    "do_sample": False,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "ignore_eos": False,
    "max_new_tokens": 16,
    "min_new_tokens": 1,
    "input_penalty": False,
    "skip_special_tokens": True,
    "add_special_tokens": True,
    "add_spaces_between_special_tokens": True,
    "print_eos_token": False,
}
_DEFAULTS_B: dict[str, Any] = {
    **_DEFAULTS,
    "max_new_tokens": 65535,
    "skip_special_tokens": False,
    "disable_prompt_cache": False,
    "seed": -1,
    "prompt_logprobs": -1,
}

NAMES = frozenset(_DEFAULTS_B) - {"add_special_tokens"}
"""Parameters that ``/tokens`` of [A] hands to a tokenizer which does not know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The parameters of one request, checked.

    Attributes:
        n: Completions wanted.
        decoding: What the backend must know.
        stop_ids: Stop sequences as token ids.
        stop_texts: Stop sequences as text; only [B] looks for them.
        prompt_logprobs: -1 for none, 0 for the prompt's own tokens, K for the best K.
        logprob_start_len: Position of the first prompt token to score, >= 1; 0 where it was not
            sent. Not LightLLM's, which ignores it.
    """

    n: int
    decoding: Decoding
    stop_ids: tuple[tuple[int, ...], ...] = ()
    stop_texts: tuple[str, ...] = ()
    add_special_tokens: bool = True
    skip_special_tokens: bool = True
    print_eos_token: bool = False
    prompt_logprobs: int = -1
    logprob_start_len: int = 0
    disable_prompt_cache: bool = field(default=False)


def parse(
    parameters: Mapping[str, Any],
    dialect: Dialect,
    encode: Encode,
    *,
    has_prompt_logprobs: bool = True,
) -> Sampling:
    """Returns the checked parameters; unknown keys are ignored, as LightLLM does.

    Raises:
        ParameterError: A type or value that the dialect refuses.
    """
    fields = _typed_fields(parameters, dialect)
    _check_constraints(parameters)
    stop_ids, stop_texts = _stops(parameters.get("stop_sequences", []), dialect, encode)
    allowed = _allowed_ids(parameters.get("allowed_token_ids", []))
    _apply_greedy(fields)
    _check_values(fields, dialect)
    _check_exclusions(parameters, has_allowed=bool(allowed))
    if dialect == "b":
        _check_b_values(fields, has_prompt_logprobs)
    banned = _banned_ids(parameters.get("logit_bias")) if dialect == "b" else ()
    return Sampling(
        n=fields.n,
        decoding=_decoding(fields, dialect, banned),
        stop_ids=stop_ids,
        stop_texts=stop_texts,
        add_special_tokens=fields.add_special_tokens,
        skip_special_tokens=fields.skip_special_tokens,
        print_eos_token=fields.print_eos_token,
        prompt_logprobs=fields.prompt_logprobs if dialect == "b" else -1,
        logprob_start_len=_start(parameters.get("logprob_start_len")),
        disable_prompt_cache=fields.disable_prompt_cache,
    )


def _typed_fields(parameters: Mapping[str, Any], dialect: Dialect) -> _Fields:
    fields = _Fields()
    try:
        for name, default in (_DEFAULTS_B if dialect == "b" else _DEFAULTS).items():
            setattr(fields, name, parameters.get(name, default))
        fields.n = parameters.get("n", fields.best_of)
        _check_decay(parameters.get("exponential_decay_length_penalty", (1, 1.0)))
    except TypeError as error:
        raise ParameterError(str(error), is_value=False) from error
    return fields


def _check_decay(pair: Any) -> None:
    if len(pair) != 2:
        raise ParameterError(
            "ExponentialDecayLengthPenalty must be Tuple[int, float]", is_value=False
        )
    if ctypes.c_int(pair[0]).value < 0:
        raise ParameterError(
            "ExponentialDecayLengthPenalty item0 must be int >= 0", is_value=False
        )
    if ctypes.c_float(pair[1]).value < 1.0:
        raise ParameterError(
            "ExponentialDecayLengthPenalty item1 must be a float >= 1.0", is_value=False
        )


_CONSTRAINTS = {
    "regular_constraint": "Regular constraint is too long.",
    "guided_grammar": "Guided grammar is too long.",
    "guided_json": "Guided json schema is too long.",
}


def _check_constraints(parameters: Mapping[str, Any]) -> None:
    """Takes constraints as a server does that was not started for them: checked, then ignored."""
    for name, too_long in _CONSTRAINTS.items():
        text = parameters.get(name, "")
        if not isinstance(text, str):
            raise ParameterError(
                f"'{type(text).__name__}' object has no attribute 'encode'", is_value=False
            )
        if len(text.encode("utf-8")) >= MAX_CONSTRAINT_BYTES:
            raise ParameterError(too_long, is_value=False)
        if name == "regular_constraint":
            _check_pattern(text)
        elif text:
            message = (
                f"guided_grammar '{text}' has compile_grammar_error: No module named 'xgrammar'"
            )
            raise ParameterError(message, is_value=True)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        message = f"regular_expression '{pattern}' has parse_pattern_error: "
        raise ParameterError(message, is_value=True) from error


def _stops(
    stops: Any, dialect: Dialect, encode: Encode
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    if stops is None:
        return (), ()
    items = [stops] if isinstance(stops, str) else stops
    groups: list[tuple[int, ...]] = []
    texts: list[str] = []
    try:
        for item in items:
            if isinstance(item, str) and item:
                groups.append(tuple(encode(item)))
                texts.append(item)
            elif isinstance(item, list) and item and all(isinstance(i, int) for i in item):
                groups.append(tuple(item))
    except TypeError as error:
        raise ParameterError(str(error), is_value=False) from error
    if len(groups) > MAX_STOP_SEQUENCES:
        raise ParameterError("Too many stop sequence groups.", is_value=False)
    if any(len(group) > MAX_STOP_TOKENS for group in groups):
        raise ParameterError("stop token length too long.", is_value=False)
    if dialect == "a":
        return tuple(groups), ()
    if any(len(text.encode("utf-8")) >= MAX_STOP_BYTES for text in texts):
        raise ParameterError("stop sequence string too long.", is_value=False)
    return tuple(groups), tuple(texts)


def _allowed_ids(ids: Any) -> list[int]:
    try:
        num_ids = len(ids)
    except TypeError as error:
        raise ParameterError(str(error), is_value=False) from error
    if num_ids > MAX_ALLOWED_IDS:
        raise ParameterError("Too many allowed token IDs.", is_value=False)
    if not all(isinstance(i, int) for i in ids):
        raise ParameterError("all must be int", is_value=False)
    return list(ids)


def _banned_ids(bias: Any) -> tuple[int, ...]:
    if not bias:
        return ()
    if not isinstance(bias, dict):
        raise ParameterError("logit_bias must be a dict", is_value=False)
    if len(bias) > MAX_BANNED_IDS:
        raise ParameterError("Too many invalid token IDs.", is_value=False)
    try:
        return tuple(int(key) for key in bias)
    except ValueError as error:
        raise ParameterError(str(error), is_value=True) from error


def _apply_greedy(fields: _Fields) -> None:
    """Greedy decoding overrides temperature, top_p and top_k before they are checked."""
    if not fields.do_sample:
        fields.temperature, fields.top_p, fields.top_k = 1.0, 1.0, 1
    elif 0.0 <= fields.temperature < GREEDY_BELOW_TEMPERATURE:
        fields.temperature, fields.top_k = 1.0, 1


def _check_values(f: _Fields, dialect: Dialect) -> None:
    # The newer generation puts a space before the comma of this one message.
    comma = " ," if dialect == "b" else ","
    checks = (
        (0 < f.best_of <= MAX_BEST_OF, f"need 0 < best_of <= {MAX_BEST_OF}, but got {f.best_of}"),
        (f.n == f.best_of, "current only supported n == best_of"),
        (f.presence_penalty >= 0, f"presence_penalty must >= 0.0, got {f.presence_penalty}"),
        (f.frequency_penalty >= 0, f"frequency_penalty must >= 0.0, got {f.frequency_penalty}"),
        (f.repetition_penalty >= 1, f"repetition_penalty must >= 1.0, got {f.repetition_penalty}"),
        (f.temperature > 0, f"temperature must > 0.0, got {f.temperature}"),
        (0 < f.top_p <= 1, f"top_p must be in (0.0, 1.0], got {f.top_p}"),
        (
            f.top_k == -1 or f.top_k >= 1,
            f"top_k must be -1 (disable), or at least 1, got {f.top_k}.",
        ),
        (
            f.max_new_tokens >= 1,
            f"max_new_tokens must be at least 1{comma} got {f.max_new_tokens}.",
        ),
        (
            f.min_new_tokens >= 1,
            f"min_new_tokens must be at least 1{comma} got {f.min_new_tokens}.",
        ),
        (
            f.min_new_tokens <= f.max_new_tokens,
            f"min_new_tokens must <= max_new_tokens, but got min {f.min_new_tokens}, "
            f"max {f.max_new_tokens}.",
        ),
    )
    for is_valid, message in checks:
        if not is_valid:
            raise ParameterError(message, is_value=True)


def _check_exclusions(parameters: Mapping[str, Any], *, has_allowed: bool) -> None:
    if has_allowed and parameters.get("regular_constraint"):
        message = "allowed_token_ids and regular_constraint can not be used in same time"
        raise ParameterError(message, is_value=True)


def _start(value: Any) -> int:
    # LightLLM would ignore it, whatever it is.
    return max(value, 1) if isinstance(value, int) else 0


def _check_b_values(f: _Fields, has_prompt_logprobs: bool) -> None:
    if f.seed < -1:
        raise ParameterError(f"seed must be -1 or >= 0, got {f.seed}.", is_value=True)
    if not -1 <= f.prompt_logprobs <= MAX_PROMPT_LOGPROBS:
        message = (
            f"prompt_logprobs must be in [-1, {MAX_PROMPT_LOGPROBS}], got {f.prompt_logprobs}"
        )
        raise ParameterError(message, is_value=True)
    if f.prompt_logprobs >= 0 and not has_prompt_logprobs:
        message = "prompt_logprobs needs a server started with --enable_prompt_logprobs"
        raise ParameterError(message, is_value=True)


def _decoding(f: _Fields, dialect: Dialect, banned: tuple[int, ...]) -> Decoding:
    return Decoding(
        max_new_tokens=f.max_new_tokens,
        min_new_tokens=f.min_new_tokens,
        temperature=f.temperature,
        top_p=f.top_p,
        top_k=f.top_k,
        repetition_penalty=f.repetition_penalty,
        presence_penalty=f.presence_penalty,
        frequency_penalty=f.frequency_penalty,
        ignore_eos=f.ignore_eos,
        seed=f.seed if dialect == "b" and f.seed >= 0 else None,
        banned_token_ids=banned,
        wants_logprobs=dialect == "b",
    )
