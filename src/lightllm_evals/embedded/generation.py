"""One generation, whatever endpoint asked for it: check the prompt, decode, show the text."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightllm_evals.embedded.engine import Completed, Decoding, Engine, OnToken, Token
from lightllm_evals.embedded.sampling import ParameterError, Sampling
from lightllm_evals.embedded.stopping import StopRules
from lightllm_evals.records import Dialect

CHARACTERS_PER_TOKEN = 8
"""[B] refuses a text longer than this per permitted token before it tokenizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server was started with.

    Attributes:
        model_name: What ``/get_model_name`` says.
        max_req_total_len: Limit on prompt plus output tokens.
        all_prompt_logprobs: [A] only: every ``/generate`` answer has the prompt's
            log-probabilities, as after ``--return_all_prompt_logprobs``.
        seed: Of simulated faults.
    """

    dialect: Dialect
    model_name: str
    max_req_total_len: int
    host: str = "127.0.0.1"
    port: int = 0
    all_prompt_logprobs: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A checked prompt with what it may generate."""

    prompt_ids: list[int]
    sampling: Sampling
    decoding: Decoding


class Generator:
    """Runs jobs on an engine under the dialect's rules."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings

    def job(self, prompt: Any, sampling: Sampling, *, wants_logprobs: bool = False) -> Job:
        """Returns the job for a text or a list of token ids.

        Raises:
            ParameterError: The prompt is no prompt, or does not fit.
        """
        prompt_ids = self._prompt_ids(prompt, sampling)
        if not prompt_ids:
            raise ParameterError("prompt_ids is empty", is_value=True)
        limit = self._output_limit(len(prompt_ids), sampling.decoding.max_new_tokens)
        decoding = dataclasses.replace(
            sampling.decoding,
            max_new_tokens=limit,
            min_new_tokens=min(sampling.decoding.min_new_tokens, limit),
            wants_logprobs=wants_logprobs or sampling.decoding.wants_logprobs,
        )
        return Job(prompt_ids=prompt_ids, sampling=sampling, decoding=decoding)

    def _prompt_ids(self, prompt: Any, sampling: Sampling) -> list[int]:
        if isinstance(prompt, str):
            self._check_text_length(prompt)
            ids = self.engine.encode(prompt)
            bos = self.engine.bos_id if sampling.add_special_tokens else None
            return ids if bos is None else [bos, *ids]
        try:
            items = list(prompt)
        except TypeError as error:
            raise ParameterError(str(error), is_value=False) from error
        if not all(isinstance(item, int) for item in items):
            message = f"prompt format error, get type{type(prompt)}"
            raise ParameterError(message, is_value=True)
        if any(not 0 <= item < self.engine.vocab_size for item in items):
            message = "prompt List[int] format contain id > vocab_size"
            raise ParameterError(message, is_value=True)
        return items

    def _check_text_length(self, text: str) -> None:
        limit = CHARACTERS_PER_TOKEN * self.settings.max_req_total_len
        if self.settings.dialect == "b" and len(text) > limit:
            message = (
                f"prompt text length {len(text)} exceeds the character limit {limit}, "
                "the request is rejected before tokenization."
            )
            raise ParameterError(message, is_value=True)

    def _output_limit(self, num_prompt: int, max_new_tokens: int) -> int:
        """Returns how many tokens may be generated: [A] refuses what [B] cuts to fit."""
        total = self.settings.max_req_total_len
        fits_alone = num_prompt < total
        if num_prompt + max_new_tokens <= total:
            return max_new_tokens
        if self.settings.dialect == "b" and fits_alone:
            return total - num_prompt
        message = (
            f"the input prompt token len {num_prompt} + max_new_tokens"
            f"{' ' * 25}{max_new_tokens} > {total}"
        )
        raise ParameterError(message, is_value=True)

    async def run(self, job: Job, on_token: OnToken | None = None) -> Completed:
        """Returns one completion; its tokens are reported as they are made."""
        decoding = job.decoding
        rules = StopRules(
            max_new_tokens=decoding.max_new_tokens,
            min_new_tokens=decoding.min_new_tokens,
            eos_ids=frozenset() if decoding.ignore_eos else self.engine.eos_ids,
            id_groups=job.sampling.stop_ids,
            texts=job.sampling.stop_texts,
        )
        return await self.engine.generate(job.prompt_ids, decoding, rules, on_token)

    async def run_all(self, job: Job) -> list[Completed]:
        """Returns the n completions of a job."""
        if job.sampling.n == 1:
            return [await self.run(job)]
        return list(await gathered([self.run(job) for _ in range(job.sampling.n)]))

    def shown(self, token: Token, sampling: Sampling) -> str:
        """Returns the text of a token as the client sees it."""
        if not token.is_special:
            return token.text
        is_hidden = sampling.skip_special_tokens or (
            token.id in self.engine.eos_ids and not sampling.print_eos_token
        )
        return "" if is_hidden else token.piece

    def text(self, tokens: Sequence[Token], sampling: Sampling) -> str:
        """Returns the text of a completion as the client sees it."""
        return "".join([self.shown(token, sampling) for token in tokens])


async def gathered(coroutines: Sequence[Any]) -> list[Any]:
    """Returns all results; when one fails or the caller is cancelled, all of them end."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
