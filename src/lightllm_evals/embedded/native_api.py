"""``/generate``, ``/generate_stream``, ``/`` and ``/tokens``: LightLLM's own interface."""

from __future__ import annotations

import json
from typing import Any

from lightllm_evals.embedded import sampling as sampling_parameters
from lightllm_evals.embedded.bodies import (
    INTERNAL_ERROR,
    error_event,
    error_response,
    json_response,
    native,
    native_response,
)
from lightllm_evals.embedded.engine import Completed, PromptToken, Token
from lightllm_evals.embedded.generation import Generator, Job
from lightllm_evals.embedded.sampling import ParameterError, Sampling
from lightllm_evals.embedded.wire import EVENT_STREAM_HEADERS, Exchange


class NativeApi:
    """The native endpoints on one generator."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._dialect = generator.settings.dialect

    async def generate(self, exchange: Exchange) -> None:
        """Answers ``POST /generate``."""
        try:
            body = _parsed(exchange.request.body)
            await self._generate(exchange, body)
        except ParameterError as error:
            self._refuse(exchange, error)

    async def generate_stream(self, exchange: Exchange) -> None:
        """Answers ``POST /generate_stream``."""
        try:
            body = _parsed(exchange.request.body)
            await self._generate_stream(exchange, body)
        except ParameterError as error:
            self._refuse(exchange, error)

    async def root(self, exchange: Exchange) -> None:
        """Answers ``POST /``, whose malformed bodies nobody catches in LightLLM."""
        try:
            body = json.loads(exchange.request.body)
            wants_stream = body.pop("stream", False)
        except (ValueError, AttributeError, TypeError):
            exchange.respond(INTERNAL_ERROR)
            return
        try:
            if wants_stream:
                await self._generate_stream(exchange, body)
            else:
                await self._generate(exchange, body)
        except ParameterError as error:
            self._refuse(exchange, error)

    def tokens(self, exchange: Exchange) -> None:
        """Answers ``/tokens``, where every failure is a 417."""
        try:
            body = _parsed(exchange.request.body)
            exchange.respond(json_response({"ntokens": self._count_tokens(body)}))
        except ParameterError as error:
            message = f"error: {error.message}"
            exchange.respond(error_response(self._dialect, 417, message))

    def _refuse(self, exchange: Exchange, error: ParameterError) -> None:
        status = 400 if self._dialect == "b" and error.is_value else 417
        exchange.respond(error_response(self._dialect, status, error.message))

    def _sampling(self, body: Any) -> tuple[Any, Sampling, bool]:
        """Returns prompt, parameters, and whether the tokens are to be listed."""
        try:
            # The same steps as LightLLM's, so that a body of another type fails alike.
            prompt = body.pop("inputs")
            parameters = body["parameters"]
            has_details = bool(parameters.pop("return_details", False))
        except KeyError as error:
            raise ParameterError(str(error), is_value=False) from error
        except (TypeError, AttributeError) as error:
            raise ParameterError(str(error), is_value=False) from error
        encode = self._generator.engine.encode
        sampling = sampling_parameters.parse(parameters, self._dialect, encode)
        return prompt, sampling, has_details

    async def _generate(self, exchange: Exchange, body: Any) -> None:
        prompt, sampling, has_details = self._sampling(body)
        job = self._generator.job(prompt, sampling, wants_logprobs=has_details)
        completions = await self._generator.run_all(job)
        answer = self._answer(job, completions, has_details=has_details)
        members = {name: native(value) for name, value in answer.items()}
        if self._dialect == "b":
            members["logprobs"] = _one_or_list([_logprobs_json(c) for c in completions])
        asked = await self._prompt_logprobs(job)
        members.update({name: native(value) for name, value in asked.items()})
        if self._dialect == "b":
            members["input_usage"] = native(_input_usage(len(job.prompt_ids)))
        exchange.respond(native_response(members))

    def _answer(
        self, job: Job, completions: list[Completed], *, has_details: bool
    ) -> dict[str, Any]:
        texts = [self._generator.text(c.tokens, job.sampling) for c in completions]
        answer: dict[str, Any] = {
            "generated_text": texts,
            "count_output_tokens": _one_or_all([len(c.tokens) for c in completions]),
            "finish_reason": _one_or_all([c.finish_reason for c in completions]),
            "prompt_tokens": len(job.prompt_ids),
        }
        if has_details:
            answer["tokens"] = _one_or_all([self._details(job, c) for c in completions])
        return answer

    def _details(self, job: Job, completion: Completed) -> list[dict[str, Any]]:
        details = []
        total = 0.0
        for count, token in enumerate(completion.tokens, 1):
            total += token.logprob or 0.0
            entry: dict[str, Any] = {
                "id": token.id,
                "logprob": token.logprob,
                # LightLLM's name for what is the running mean.
                "cumlogprob": total / count,
                "special": token.is_special,
                "count_output_tokens": count,
                "mtp_accepted_token_num": 0,
                "prompt_tokens": len(job.prompt_ids),
            }
            if self._dialect == "b":
                entry["prompt_cache_len"] = 0
            entry["text"] = self._generator.shown(token, job.sampling)
            details.append(entry)
        return details

    async def _prompt_logprobs(self, job: Job) -> dict[str, Any]:
        """Returns the prompt's log-probabilities in the dialect's shape, {} when unasked for.

        Our own addition: with ``logprob_start_len`` positions before it are null and cost
        nothing, and of the others only a most probable token has its rank.
        """
        engine = self._generator.engine
        start = job.sampling.logprob_start_len
        if self._dialect == "a":
            if not self._generator.settings.all_prompt_logprobs:
                return {}
            scored = await engine.prompt_logprobs(job.prompt_ids, 0, start, needs_rank=False)
            pairs = zip(job.prompt_ids[1:], scored, strict=True)
            values = [{str(own): each[0].logprob if each else None} for own, each in pairs]
            return {
                "prompt_token_ids": job.prompt_ids,
                "prompt_logprobs": [
                    [before, value] for before, value in zip(job.prompt_ids, values, strict=False)
                ],
            }
        num_top = job.sampling.prompt_logprobs
        if num_top < 0:
            return {}
        scored = await engine.prompt_logprobs(
            job.prompt_ids, num_top, start, needs_rank=start == 0 or num_top > 0
        )
        entries = [_prompt_entry(tokens, num_top) if tokens else None for tokens in scored]
        return {
            "prompt_token_ids": job.prompt_ids,
            "prompt_logprobs": [None, *entries],
        }

    async def _generate_stream(self, exchange: Exchange, body: Any) -> None:
        prompt, sampling, _ = self._sampling(body)
        if sampling.n != 1:
            raise ParameterError("stream api only support best_of == 1", is_value=False)
        exchange.start_stream(EVENT_STREAM_HEADERS)
        try:
            job = self._generator.job(prompt, sampling, wants_logprobs=True)
        except ParameterError as error:
            # The 200 has gone out: [A] cuts the connection, [B] sends one event.
            if self._dialect == "a":
                exchange.cut()
                return
            exchange.send(error_event(error.message))
        else:
            await self._stream(exchange, job)
        exchange.end_stream()

    async def _stream(self, exchange: Exchange, job: Job) -> None:
        # LightLLM adds what was asked about the prompt to the last event of [B].
        extra = await self._prompt_logprobs(job) if self._dialect == "b" else {}
        count = 0

        def on_token(token: Token, finish_reason: str) -> None:
            nonlocal count
            count += 1
            value = self._stream_event(job, token, count, finish_reason)
            if finish_reason:
                value.update(extra)
            exchange.send(b"data:" + native(value) + b"\n\n")

        await self._generator.run(job, on_token)

    def _stream_event(
        self, job: Job, token: Token, count: int, finish_reason: str
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": token.id,
            "text": self._generator.shown(token, job.sampling),
            "logprob": token.logprob,
            "special": token.is_special,
            "count_output_tokens": count,
            "prompt_tokens": len(job.prompt_ids),
        }
        if self._dialect == "b":
            entry["logprobs"] = _logprob_entry(token)
        value = {
            "token": entry,
            "generated_text": None,
            "finished": bool(finish_reason),
            "finish_reason": finish_reason or None,
            "details": None,
        }
        if self._dialect == "b":
            value["input_usage"] = _input_usage(len(job.prompt_ids))
        return value

    def _count_tokens(self, body: Any) -> int:
        try:
            text = body.pop("text")
            parameters = body.get("parameters", {})
            adds_special = parameters.get("add_special_tokens", True)
        except KeyError as error:
            raise ParameterError(str(error), is_value=False) from error
        except (TypeError, AttributeError) as error:
            raise ParameterError(str(error), is_value=False) from error
        if not isinstance(text, str):
            raise ParameterError(_NOT_A_TEXT[self._dialect], is_value=False)
        unknown = [name for name in parameters if name in sampling_parameters.NAMES]
        if self._dialect == "a" and unknown:
            message = (
                "PreTrainedTokenizerFast._batch_encode_plus() got an unexpected keyword "
                f"argument '{unknown[0]}'"
            )
            raise ParameterError(message, is_value=False)
        sampling_parameters.parse(parameters, self._dialect, self._generator.engine.encode)
        has_bos = bool(adds_special) and self._generator.engine.bos_id is not None
        return len(self._generator.engine.encode(text)) + has_bos


_NOT_A_TEXT = {
    "a": "TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]",
    "b": "text input must be of type `str` (single example), `list[str]` (batch or single "
    "pretokenized example) or `list[list[str]]` (batch of pretokenized examples) or "
    "`list[tuple[list[str], list[str]]]` (batch of pretokenized sequence pairs).",
}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise ParameterError(str(error), is_value=True) from error
    except ValueError as error:
        raise ParameterError(str(error), is_value=True) from error


def _one_or_all(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _one_or_list(items: list[bytes]) -> bytes:
    return items[0] if len(items) == 1 else b"[" + b",".join(items) + b"]"


def _logprobs_json(completion: Completed) -> bytes:
    if "logprobs" not in completion.rendered:
        entries = [_logprob_entry(token) for token in completion.tokens]
        completion.rendered["logprobs"] = native(entries)
    return completion.rendered["logprobs"]


def _logprob_entry(token: Token) -> dict[str, Any]:
    return {
        str(token.id): {
            "logprob": token.logprob,
            "rank": token.rank,
            "decoded_token": token.piece,
        }
    }


def _prompt_entry(tokens: list[PromptToken], num_top: int) -> dict[str, Any]:
    """Returns one position: the prompt's own token for K = 0, only the best K otherwise."""
    chosen = tokens[1 : num_top + 1] if num_top else tokens[:1]
    return {
        str(token.id): {
            "logprob": token.logprob,
            "rank": token.rank,
            "decoded_token": token.text,
        }
        for token in chosen
    }


def _input_usage(num_prompt: int) -> dict[str, int]:
    return {
        "input_text_tokens": num_prompt,
        "input_audio_tokens": 0,
        "input_image_tokens": 0,
    }
