"""The backend with a real model: LightLLM's decoding rules on top of llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightllm_evals.embedded.engine import (
    Completed,
    Decoding,
    OnToken,
    PromptToken,
    Stopper,
    Token,
)
from lightllm_evals.embedded.llama_server import LlamaServer
from lightllm_evals.embedded.slots import Slots
from lightllm_evals.errors import ServerError
from lightllm_evals.records import Message

UNKNOWN_ID = -1
"""Of a token whose id llama.cpp did not tell: part of a character that it held back."""

RANK_STEPS = (64, 4096)
"""Candidates asked for until a token's rank is found; the whole vocabulary at last."""

FORCING_BIAS = 1000.0
"""Added to the logit of the token to be drawn; llama.cpp still lists the raw log-probabilities.
Where all candidates are listed, a harmless one is drawn: a part of a character shows nothing."""


def default_threads() -> int:
    """Returns all CPUs but one.

    llama.cpp's threads wait for each other by spinning: where another process takes one of their
    CPUs, as a sandbox or a pytest worker does, every thread more makes it slower, up to ten times.
    """
    return max(1, len(os.sched_getaffinity(0)) - 1)


class LlamaEngine:
    """Runs completions on llama.cpp's slots; more of them wait, first come first served."""

    name = "llama"

    def __init__(
        self, gguf: Path, *, num_slots: int, max_req_total_len: int, threads: int | None = None
    ) -> None:
        self.num_slots = num_slots
        self._server = LlamaServer(
            gguf,
            # One slot more, for what llama.cpp did not tell with a token of a completion.
            num_slots=num_slots + 1,
            # One token over: llama.cpp stops when a slot is full, LightLLM when it is used up.
            context=max_req_total_len + 1,
            threads=threads or default_threads(),
        )
        meta = self._server.ask("/v1/models")["data"][0]["meta"]
        self.vocab_size = int(meta["n_vocab"])
        props = self._server.ask("/props")
        bos, eos = self.encode(props["bos_token"]), self.encode(props["eos_token"])
        self.bos_id = bos[0] if len(bos) == 1 else None
        self.eos_ids = frozenset(eos[:1])
        self._harmless_id = self.encode("a")[-1]
        self._slots = Slots(num_slots)
        self._num_running = 0

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, without BOS; special tokens in it are recognized."""
        return list(self._encode(text)) if len(text) < 4096 else self._encode_now(text)

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - there is one engine as long as the process
    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._encode_now(text))

    def _encode_now(self, text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": True}
        return list(self._server.ask("/tokenize", body)["tokens"])

    def decode(self, token_ids: Sequence[int]) -> str:
        """Returns the text of ids, special tokens included."""
        return self._decode(tuple(token_ids))

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - there is one engine as long as the process
    def _decode(self, token_ids: tuple[int, ...]) -> str:
        return str(self._server.ask("/detokenize", {"tokens": list(token_ids)})["content"])

    def render_chat(self, messages: Sequence[Message]) -> str:
        """Returns the chat in the model's own template."""
        turns = [{"role": m.role, "content": m.content} for m in messages]
        return str(self._server.ask("/apply-template", {"messages": turns})["prompt"])

    def num_running(self) -> int:
        """Returns how many completions run or wait."""
        return self._num_running

    async def generate(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding,
        stopper: Stopper,
        on_token: OnToken | None = None,
    ) -> Completed:
        """Continues a prompt until the stopper ends it; cancelling frees the slot."""
        self._num_running += 1
        try:
            async with self._slots.slot(prompt_ids) as slot:
                return await self._generate(slot, prompt_ids, decoding, stopper, on_token)
        finally:
            self._num_running -= 1

    async def _generate(
        self,
        slot: int,
        prompt_ids: Sequence[int],
        decoding: Decoding,
        stopper: Stopper,
        on_token: OnToken | None,
    ) -> Completed:
        completed = Completed()
        async with contextlib.aclosing(self._tokens(slot, prompt_ids, decoding)) as tokens:
            async for token in tokens:
                completed.tokens.append(token)
                completed.finish_reason = stopper.push(token)
                if on_token is not None:
                    on_token(token, completed.finish_reason)
                if completed.finish_reason:
                    break
        if not completed.finish_reason:
            # llama.cpp ended it by an end-of-text token that is not the model's own EOS.
            completed.finish_reason = "stop"
        return completed

    async def _tokens(
        self, slot: int, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Token, None]:
        """Yields the tokens of one completion as llama.cpp makes them."""
        so_far = list(prompt_ids)
        for request in _requests(so_far, decoding):
            async with contextlib.aclosing(self._parts(request | {"id_slot": slot})) as parts:
                async for told in parts:
                    token = told
                    if decoding.wants_logprobs and told.rank is None and told.id >= 0:
                        token = await self._ranked(so_far, told)
                    so_far.append(token.id)
                    yield token

    async def _ranked(self, prefix: Sequence[int], token: Token) -> Token:
        """Returns the token with what llama.cpp did not tell with it."""
        # Its own slot is busy with the completion; one is kept for this.
        own = (await self._scored(self.num_slots, prefix, token.id, 0))[0]
        return dataclasses.replace(token, logprob=own.logprob, rank=own.rank)

    async def _parts(self, request: dict[str, Any]) -> AsyncGenerator[Token, None]:
        num_seen = 0
        async with contextlib.aclosing(self._server.completion(request)) as parts:
            async for part in parts:
                num_held_back = part["tokens_predicted"] - num_seen - len(part["tokens"])
                num_seen = part["tokens_predicted"]
                for token in self._held_back(part, num_held_back):
                    yield token
                if part["tokens"]:
                    yield self._token(part)

    def _held_back(self, part: dict[str, Any], number: int) -> list[Token]:
        """Returns the tokens that were kept back until the character of this part was whole."""
        if number <= 0:
            return []
        *before, last = self.encode(part["content"]) or [UNKNOWN_ID]
        is_told = part["tokens"] == [last] and len(before) == number
        ids = before if is_told else [UNKNOWN_ID] * number
        return [Token(id=i, text="", piece="" if i < 0 else self.decode([i])) for i in ids]

    def _token(self, part: dict[str, Any]) -> Token:
        token_id, text = part["tokens"][-1], part["content"]
        probabilities = part.get("completion_probabilities") or [{}]
        best = [candidate["id"] for candidate in probabilities[0].get("top_logprobs", [])]
        # llama.cpp leaves the text of control tokens out, of all others it is never empty.
        is_special = not text
        return Token(
            id=token_id,
            text=text,
            piece=self.decode([token_id]) if is_special else text,
            logprob=probabilities[0].get("logprob"),
            rank=best.index(token_id) + 1 if token_id in best else None,
            is_special=is_special,
        )

    async def prompt_logprobs(
        self,
        prompt_ids: Sequence[int],
        num_top: int,
        start: int = 0,
        *,
        needs_rank: bool = True,
    ) -> list[list[PromptToken]]:
        """Returns for each token from ``start`` on its own and the ``num_top`` best.

        One request a token; the cached prefix makes it one step. Choices of one item find their
        context in the slot that scored the last one.
        """
        self._num_running += 1
        begin = max(start, 1)
        score = self._scored if needs_rank else self._unranked
        try:
            async with self._slots.slot(prompt_ids) as slot:
                return [
                    *([] for _ in prompt_ids[1:begin]),
                    *[
                        await score(slot, prompt_ids[:position], prompt_ids[position], num_top)
                        for position in range(begin, len(prompt_ids))
                    ],
                ]
        finally:
            self._num_running -= 1

    async def _scored(
        self, slot: int, prefix: Sequence[int], token_id: int, num_top: int
    ) -> list[PromptToken]:
        steps = [step for step in RANK_STEPS if step > num_top]
        for num_candidates in (*steps, self.vocab_size):
            drawn = await self._drawn(slot, prefix, self._harmless_id, num_candidates)
            candidates = drawn["top_logprobs"]
            for rank, candidate in enumerate(candidates, 1):
                if candidate["id"] == token_id:
                    own = self._prompt_token(candidate, rank)
                    best = enumerate(candidates[:num_top], 1)
                    return [own, *(self._prompt_token(c, r) for r, c in best)]
        raise ServerError(f"llama.cpp lists all candidates, but not token {token_id}")

    async def _unranked(
        self, slot: int, prefix: Sequence[int], token_id: int, num_top: int
    ) -> list[PromptToken]:
        """Returns one token's value; llama.cpp tells that of the token drawn without a list."""
        drawn = await self._drawn(slot, prefix, token_id, 1)
        if drawn.get("id") != token_id:
            # A part of a character is held back, and nothing is told about it.
            return await self._scored(slot, prefix, token_id, num_top)
        is_best = drawn["top_logprobs"][0]["id"] == token_id
        return [self._prompt_token(drawn, 1 if is_best else None)]

    def _prompt_token(self, probability: dict[str, Any], rank: int | None) -> PromptToken:
        return PromptToken(
            id=probability["id"],
            text=probability["token"] or self.decode([probability["id"]]),
            logprob=probability["logprob"],
            rank=rank,
        )

    async def _drawn(
        self, slot: int, prefix: Sequence[int], token_id: int, num_candidates: int
    ) -> dict[str, Any]:
        """Returns what llama.cpp tells of a token that it is made to draw after a prefix.

        All values are raw log-probabilities, whatever was done to have it drawn.
        """
        request = {
            "prompt": list(prefix),
            "n_predict": 1,
            "temperature": 0.0,
            "samplers": ["top_k"],
            "top_k": 1,
            "logit_bias": [[token_id, FORCING_BIAS]],
            "n_probs": num_candidates,
            "cache_prompt": True,
            "id_slot": slot,
        }
        answer = await asyncio.to_thread(self._server.ask, "/completion", request)
        told: list[dict[str, Any]] = answer.get("completion_probabilities") or [{}]
        return told[0]


def _requests(so_far: list[int], decoding: Decoding) -> Iterator[dict[str, Any]]:
    """Yields llama.cpp's requests for one completion; ``so_far`` grows in between.

    LightLLM hides EOS until the minimum is reached, llama.cpp always or never: then it takes two.
    """
    num_prompt = len(so_far)
    num_first = decoding.min_new_tokens - 1
    if num_first and not decoding.ignore_eos:
        yield _request(so_far, decoding, num_tokens=num_first, ignore_eos=True)
    num_left = decoding.max_new_tokens - (len(so_far) - num_prompt)
    yield _request(so_far, decoding, num_tokens=num_left, ignore_eos=decoding.ignore_eos)


def _request(
    prompt_ids: list[int], decoding: Decoding, *, num_tokens: int, ignore_eos: bool
) -> dict[str, Any]:
    """Returns llama.cpp's request: penalties, then temperature, then top-k and top-p."""
    is_greedy = decoding.top_k == 1
    request: dict[str, Any] = {
        "prompt": list(prompt_ids),
        "n_predict": num_tokens,
        "ignore_eos": ignore_eos,
        "samplers": ["penalties", "temperature", "top_k", "top_p"],
        "temperature": decoding.temperature,
        "top_k": max(decoding.top_k, 0),
        "top_p": decoding.top_p,
        "min_p": 0.0,
        "repeat_last_n": len(prompt_ids) + num_tokens,
        "repeat_penalty": decoding.repetition_penalty,
        "presence_penalty": decoding.presence_penalty,
        "frequency_penalty": decoding.frequency_penalty,
        "logit_bias": [[token_id, False] for token_id in decoding.banned_token_ids],
        "n_probs": (1 if is_greedy else RANK_STEPS[0]) if decoding.wants_logprobs else 0,
        "return_tokens": True,
        "cache_prompt": True,
    }
    if decoding.seed is not None:
        # llama.cpp has 32 bits, and its highest number means a random one.
        request["seed"] = decoding.seed % (2**32 - 1)
    return request
