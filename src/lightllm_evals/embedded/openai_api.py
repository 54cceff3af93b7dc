"""``/v1/completions`` and ``/v1/chat/completions``: check the form, run it, shape the answer."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from lightllm_evals.embedded import openai_answers as answers
from lightllm_evals.embedded import openai_forms as forms
from lightllm_evals.embedded import sampling as sampling_parameters
from lightllm_evals.embedded.bodies import (
    INTERNAL_ERROR,
    error_event,
    error_response,
    event,
    json_response,
)
from lightllm_evals.embedded.engine import Completed, Token
from lightllm_evals.embedded.form_fields import FieldError
from lightllm_evals.embedded.generation import Generator, Job, gathered
from lightllm_evals.embedded.sampling import ParameterError, Sampling
from lightllm_evals.embedded.stopping import trimmed
from lightllm_evals.embedded.wire import EVENT_STREAM_HEADERS, Exchange
from lightllm_evals.records import Message

DONE_EVENT = b"data: [DONE]\n\n"


class UnsupportedError(Exception):
    """What the endpoint answers with 400 and this text in either dialect."""


class OpenAiApi:
    """The OpenAI-style endpoints on one generator."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._dialect = generator.settings.dialect
        self._completion_form = forms.completion_form(self._dialect)
        self._chat_form = forms.chat_form(self._dialect)
        # LightLLM numbers requests in steps that leave room for up to eight completions.
        self._ids = itertools.count(8, 8)

    async def completions(self, exchange: Exchange) -> None:
        """Answers ``POST /v1/completions``."""
        await self._answer(exchange, self._completion_form, self._completions)

    async def chat_completions(self, exchange: Exchange) -> None:
        """Answers ``POST /v1/chat/completions``."""
        await self._answer(exchange, self._chat_form, self._chat)

    async def _answer(
        self,
        exchange: Exchange,
        form: Mapping[str, forms.Field],
        handle: Callable[[Exchange, dict[str, Any]], Any],
    ) -> None:
        try:
            await handle(exchange, forms.read_form(form, exchange.request.body, self._dialect))
        except FieldError as error:
            exchange.respond(json_response({"detail": error.problems}, 422))
        except UnsupportedError as error:
            exchange.respond(error_response(self._dialect, 400, str(error)))
        except ParameterError as error:
            # Nobody catches them in [A], and only bad values are caught in [B].
            if self._dialect == "b" and error.is_value:
                exchange.respond(error_response(self._dialect, 400, error.message))
            else:
                exchange.respond(INTERNAL_ERROR)

    async def _completions(self, exchange: Exchange, form: dict[str, Any]) -> None:
        if form["logit_bias"] is not None:
            raise UnsupportedError("The logit_bias parameter is not currently supported")
        prompts = _prompts(form["prompt"])
        if form["suffix"]:
            raise UnsupportedError("The suffix parameter is not currently supported")
        sampling = self._sampling(form, best_of=form["best_of"])
        if form["stream"]:
            if len(prompts) > 1:
                raise UnsupportedError("Streaming is not supported for batch requests")
            if sampling.n != 1:
                raise UnsupportedError("stream api only support n = 1")
            await self._stream_completion(exchange, form, prompts[0], sampling)
            return
        wants_logprobs = form["logprobs"] is not None
        jobs = [
            self._generator.job(prompt, sampling, wants_logprobs=wants_logprobs)
            for prompt in prompts
        ]
        results = await gathered([self._generator.run_all(job) for job in jobs])
        choices = [
            choice
            for prompt, job, completions in zip(prompts, jobs, results, strict=True)
            for choice in await self._completion_choices(form, prompt, job, completions)
        ]
        for index, choice in enumerate(choices):
            choice["index"] = index
        prefix = "cmpl-batch-" if len(prompts) > 1 else "cmpl-"
        answer = self._frame(f"{prefix}{uuid.uuid4().hex[:8]}", "text_completion", form)
        answer["choices"] = choices
        num_output = sum(len(c.tokens) for completions in results for c in completions)
        num_prompt = sum(len(job.prompt_ids) for job in jobs)
        answer["usage"] = answers.usage(self._dialect, num_prompt, num_output)
        exchange.respond(json_response(answer))

    async def _completion_choices(
        self, form: dict[str, Any], prompt: Any, job: Job, completions: list[Completed]
    ) -> list[dict[str, Any]]:
        if self._dialect == "a":
            # All n texts land in one choice, token by token: a defect that clients know.
            completions = [answers.interleaved(completions)]
        prompt_text = prompt if isinstance(prompt, str) else self._generator.engine.decode(prompt)
        scored: dict[int, float] = {}
        if form["echo"] and form["logprobs"] is not None:
            scored = await self._echo_logprobs(job)
        choices = []
        for completed in completions:
            shown = [self._generator.shown(token, job.sampling) for token in completed.tokens]
            logprobs = None
            if form["logprobs"] is not None:
                echoed = self._echoed(prompt_text, scored) if form["echo"] else []
                logprobs = answers.logprobs(echoed, completed.tokens, shown)
            text = trimmed("".join(shown), job.sampling.stop_texts)
            text = prompt_text + text if form["echo"] else text
            choices.append(answers.completion_choice(text, logprobs, completed.finish_reason))
        return choices

    async def _echo_logprobs(self, job: Job) -> dict[int, float]:
        """Returns the prompt's log-probabilities by token id: in [A] a repeat hides another."""
        if not self._generator.settings.all_prompt_logprobs:
            return {}
        scored = await self._generator.engine.prompt_logprobs(job.prompt_ids, 0)
        return {own.id: own.logprob for own, *_ in scored}

    def _echoed(
        self, prompt_text: str, scored: Mapping[int, float]
    ) -> list[tuple[str, float | None]]:
        engine = self._generator.engine
        return [(engine.decode([i]), scored.get(i)) for i in engine.encode(prompt_text)]

    async def _stream_completion(
        self, exchange: Exchange, form: dict[str, Any], prompt: Any, sampling: Sampling
    ) -> None:
        frame = self._frame(str(next(self._ids)), "text_completion", form)
        prompt_text = prompt if isinstance(prompt, str) else self._generator.engine.decode(prompt)
        is_first = True

        def on_token(token: Token, finish_reason: str) -> None:
            nonlocal is_first
            text = self._generator.shown(token, sampling)
            if is_first and form["echo"]:
                text = prompt_text + text
            is_first = False
            logprobs: dict[str, Any] | None = None if form["logprobs"] is None else {}
            choice = answers.completion_choice(text, logprobs, finish_reason or None)
            chunk = {**frame, "choices": [choice]}
            if self._dialect == "b":
                chunk["usage"] = None
            exchange.send(event(chunk))

        job = self._started_stream(exchange, prompt, sampling)
        if job is None:
            return
        completed = await self._generator.run(job, on_token)
        if self._dialect == "b":
            self._send_usage(exchange, frame, len(job.prompt_ids), len(completed.tokens))
        exchange.send(DONE_EVENT)
        exchange.end_stream()

    def _started_stream(self, exchange: Exchange, prompt: Any, sampling: Sampling) -> Job | None:
        """Starts a stream; None when the prompt is refused after that, as LightLLM does."""
        exchange.start_stream(EVENT_STREAM_HEADERS)
        try:
            return self._generator.job(prompt, sampling)
        except ParameterError as error:
            if self._dialect == "a":
                exchange.cut()
            else:
                exchange.send(error_event(error.message))
                exchange.end_stream()
            return None

    def _send_usage(
        self, exchange: Exchange, frame: dict[str, Any], num_prompt: int, num_output: int
    ) -> None:
        usage = answers.usage(self._dialect, num_prompt, num_output)
        exchange.send(event({**frame, "choices": [], "usage": usage}))

    async def _chat(self, exchange: Exchange, form: dict[str, Any]) -> None:
        if form["logit_bias"] is not None:
            raise UnsupportedError("The logit_bias parameter is not currently supported")
        if form["function_call"] != "none":
            raise UnsupportedError("The function call feature is not supported")
        if not form["messages"]:
            message = "Failed to build prompt: list index out of range"
            raise ParameterError(message, is_value=True)
        messages = [_message(m) for m in form["messages"]]
        prompt = self._generator.engine.render_chat(messages)
        sampling = self._sampling(form, best_of=form["n"])
        if form["stream"]:
            if self._dialect == "a" and sampling.n != 1:
                raise UnsupportedError("stream api only support n = 1")
            await self._stream_chat(exchange, form, prompt, sampling)
            return
        job = self._generator.job(prompt, sampling)
        completions = await self._generator.run_all(job)
        answer = self._frame(str(next(self._ids)), "chat.completion", form)
        answer["choices"] = [
            answers.chat_choice(
                self._dialect, index, self._generator.text(c.tokens, sampling), c.finish_reason
            )
            for index, c in enumerate(completions)
        ]
        counts = [len(c.tokens) for c in completions]
        num_output = counts[-1] if self._dialect == "a" else sum(counts)
        answer["usage"] = answers.usage(self._dialect, len(job.prompt_ids), num_output)
        exchange.respond(json_response(answer))

    async def _stream_chat(
        self, exchange: Exchange, form: dict[str, Any], prompt: str, sampling: Sampling
    ) -> None:
        job = self._started_stream(exchange, prompt, sampling)
        if job is None:
            return
        if self._dialect == "a":
            frame = self._frame(str(next(self._ids)), "chat.completion.chunk", form)
        else:
            frame = self._frame(f"chatcmpl-{uuid.uuid4().hex}", "chat.completion.chunk", form)
        num_output = sum(
            await gathered(
                [self._stream_chat_choice(exchange, frame, job, i) for i in range(sampling.n)]
            )
        )
        if self._dialect == "b":
            self._send_usage(exchange, frame, len(job.prompt_ids), num_output)
            exchange.send(DONE_EVENT)
        exchange.end_stream()

    async def _stream_chat_choice(
        self, exchange: Exchange, frame: dict[str, Any], job: Job, index: int
    ) -> int:
        """Streams one choice; returns its length in tokens."""
        has_role = False

        def on_token(token: Token, finish_reason: str) -> None:
            nonlocal has_role
            if self._dialect == "b" and not has_role:
                exchange.send(event({**frame, **answers.first_chunk(index)}))
            has_role = True
            text = self._generator.shown(token, job.sampling)
            choice = answers.chunk_choice(self._dialect, index, text, finish_reason)
            exchange.send(event({**frame, "choices": [choice]}))

        completed = await self._generator.run(job, on_token)
        return len(completed.tokens)

    def _frame(self, answer_id: str, kind: str, form: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": answer_id,
            "object": kind,
            "created": int(time.time()),
            "model": form["model"],
        }

    def _sampling(self, form: dict[str, Any], best_of: int) -> Sampling:
        """Returns the form's parameters, checked as those of ``/generate`` are."""
        names = (
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
            "temperature",
            "top_p",
            "top_k",
            "ignore_eos",
            "n",
        )
        parameters = {name: form[name] for name in names}
        # Chat has no such field in [A]: it always samples.
        parameters["do_sample"] = form.get("do_sample", True)
        parameters["best_of"] = best_of
        parameters["stop_sequences"] = form["stop"]
        parameters["add_special_tokens"] = False
        if self._dialect == "a":
            parameters["max_new_tokens"] = form["max_tokens"]
        else:
            parameters["seed"] = form["seed"]
            limits = (form["max_completion_tokens"], form["max_tokens"])
            given = [limit for limit in limits if limit is not None]
            if given:
                parameters["max_new_tokens"] = given[0]
        encode = self._generator.engine.encode
        sampling = sampling_parameters.parse(parameters, self._dialect, encode)
        # Only /generate shows log-probabilities unasked.
        return answers.without_logprobs(sampling)


def _prompts(prompt: Any) -> list[Any]:
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise UnsupportedError("Prompt cannot be empty")
    return [prompt] if isinstance(prompt[0], int) else list(prompt)


def _message(raw: Mapping[str, Any]) -> Message:
    content = raw["content"]
    if isinstance(content, list):
        texts = [part["text"] for part in content if part["type"] == "text" and part.get("text")]
        content = "\n".join(texts)
    return Message(role=raw["role"], content=content or "")
