"""The attempts at one scoring request: the likelihoods of a sample's choices, one by one.

Contexts and continuations are split as lm-evaluation-harness splits them
(``lm_eval/api/model.py``, ``_encode_pair``): trailing spaces of the context belong to the
continuation, both are tokenized together, and the continuation is what comes after as many
tokens as the context alone has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from lightllm_evals.client.answers import count, parse_object
from lightllm_evals.client.failures import looks_like_html, not_lightllm, status_failure
from lightllm_evals.client.prompt_logprobs import START_KEY, ScoredPrompt, parse_prompt_logprobs
from lightllm_evals.client.retry import retry_after_s
from lightllm_evals.client.rolling import Window, split_text, windows
from lightllm_evals.client.transport import Transport
from lightllm_evals.errors import BadResponseError, ConfigError, RequestRejectedError
from lightllm_evals.records import (
    SCORED,
    Choice,
    Completion,
    Likelihood,
    Request,
    ServerInfo,
)

# Tokens of a rolling window where the server does not tell its limit.
_DEFAULT_WINDOW = 2048


class LikelihoodAttempts:
    """Makes attempts at one scoring request; choices that were scored are not asked again."""

    def __init__(
        self,
        request: Request,
        *,
        transport: Transport,
        info: ServerInfo | None,
        timeout_s: float,
        clock: Callable[[], float],
        admit: Callable[[], None],
    ) -> None:
        self._request = request
        self._transport = transport
        self._info = info
        self._timeout_s = timeout_s
        self._clock = clock
        self._admit = admit
        self._scored: list[Likelihood] = []
        self._num_tokens: dict[str, int] = {}
        self._num_prompt_tokens = 0

    def run(self, number: int) -> Completion:
        """Returns the likelihoods of all choices, once attempt ``number`` has the last of them.

        Raises:
            TransientError: The next attempt may get them.
            RequestError: It would not.
            ConfigError: The text cannot be scored in this way.
        """
        started_at = self._clock()
        for choice in self._request.choices[len(self._scored) :]:
            self._scored.append(self._likelihood(choice))
        return Completion(
            text="",
            finish_reason=SCORED,
            prompt_tokens=self._num_prompt_tokens,
            output_tokens=0,
            latency_s=self._clock() - started_at,
            attempts=number,
            server=self._transport.url,
            likelihoods=tuple(self._scored),
        )

    def _likelihood(self, choice: Choice) -> Likelihood:
        context = self._request.prompt + choice.context
        if self._request.scoring == "rolling":
            return self._rolling(context, choice.continuation)
        if self._request.scoring == "ppl-full":
            scored = self._score(context + choice.continuation)
            start = 1
        else:
            whole = context + choice.continuation
            context = context.rstrip()
            start = self._count(context) if context else int(self._adds_bos)
            scored = self._score(whole, start=start)
        num_tokens = len(scored.token_ids) - start
        if num_tokens < 1:
            raise RequestRejectedError(
                f"the continuation {choice.continuation!r} adds no token to its context"
            )
        return Likelihood(
            logprob=scored.sum_from(start),
            num_tokens=num_tokens,
            is_greedy=self._is_greedy(scored, start) if self._request.needs_greedy else None,
        )

    @property
    def _adds_bos(self) -> bool:
        adds_bos = self._info is not None and bool(self._info.adds_bos)
        return adds_bos and self._request.params.add_special_tokens

    def _is_greedy(self, scored: ScoredPrompt, start: int) -> bool:
        """Returns whether greedy decoding would give just these tokens."""
        ranks = scored.ranks[start:]
        if any(rank is not None for rank in ranks):
            return all(rank == 1 for rank in ranks)
        wanted = list(scored.token_ids[start:])
        data = self._generate(
            list(scored.token_ids[:start]),
            max_new_tokens=len(wanted),
            return_details=True,
        )
        return _generated_ids(data) == wanted

    def _rolling(self, context: str, text: str) -> Likelihood:
        """Returns the log-probability of every token of a long text, each scored once."""
        prefix_id = self._prefix_id(context)
        pieces = [self._ids(piece) for piece in split_text(text, self._window)]
        ids = [token_id for piece in pieces for token_id in piece]
        if len(ids) != self._count(text, is_special=False):
            raise RequestRejectedError(
                f"a text of {len(text)} characters is tokenized otherwise in pieces than as a "
                "whole, so that its windows would be others than the reference's"
            )
        total = 0.0
        for window in windows(ids, prefix_id, self._window):
            total += self._score_window(window)
        return Likelihood(logprob=total, num_tokens=len(ids))

    @property
    def _window(self) -> int:
        limit = self._info.max_req_total_len if self._info else None
        # A window has one token of context before it, and the server generates one behind it.
        return limit - 2 if limit else _DEFAULT_WINDOW

    def _prefix_id(self, context: str) -> int:
        """Returns the token before the first one: what the context says, else BOS."""
        if not context and not self._adds_bos:
            raise ConfigError(
                "A rolling score needs a token before the first one, and this model's tokenizer "
                "adds no BOS: name one in the profile, as in prefix_text = '<|endoftext|>'."
            )
        ids = self._ids(context) if context else self._ids("a", is_special=True)[:1]
        if len(ids) != 1:
            raise ConfigError(
                f"The profile's prefix_text {context!r} is {len(ids)} tokens for this model; "
                "it has to be the text of one special token."
            )
        return ids[0]

    def _ids(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        # Nothing of it is read, so nothing need be scored.
        scored = self._score(text, start=len(text.encode()) + 1, is_special=is_special)
        return scored.token_ids

    def _score_window(self, window: Window) -> float:
        return self._score(window.token_ids, start=window.start).sum_from(window.start)

    def _score(
        self, inputs: str | Sequence[int], *, start: int = 0, is_special: bool | None = None
    ) -> ScoredPrompt:
        """Returns a prompt with the log-probabilities of its tokens from a position on."""
        parameters: dict[str, Any] = {"max_new_tokens": 1, "return_details": False}
        if is_special is not None:
            parameters["add_special_tokens"] = is_special
        if self._info is not None and self._info.has_logprob_start and start > 0:
            parameters[START_KEY] = start
        data = self._generate(inputs, **parameters)
        scored = parse_prompt_logprobs(
            data,
            () if isinstance(inputs, str) else inputs,
            start,
            needs_rank=START_KEY not in parameters,
        )
        self._num_prompt_tokens += len(scored.token_ids)
        return scored

    def _generate(self, inputs: str | Sequence[int], **parameters: Any) -> dict[str, Any]:
        params = self._request.params
        body = {
            "inputs": inputs if isinstance(inputs, str) else list(inputs),
            "parameters": {
                "do_sample": False,
                "repetition_penalty": 1.0,
                "add_special_tokens": params.add_special_tokens,
                "skip_special_tokens": False,
                "ignore_eos": True,
                # Only the newer dialect reads these two.
                "prompt_logprobs": 0,
                "disable_prompt_cache": True,
                **parameters,
            },
        }
        return dict(self._post("/generate", body))

    def _count(self, text: str, *, is_special: bool | None = None) -> int:
        """Returns how many tokens a text has, special ones as the request wants them."""
        if text not in self._num_tokens:
            adds = self._request.params.add_special_tokens if is_special is None else is_special
            # The older dialect's default is to add them, and it takes little else.
            parameters = {} if adds else {"add_special_tokens": False}
            answer = self._post("/tokens", {"text": text, "parameters": parameters})
            number = count(answer.get("ntokens"))
            if number is None:
                raise BadResponseError(f"/tokens does not say how many tokens: {answer}")
            self._num_tokens[text] = number
        return self._num_tokens[text]

    def _post(self, path: str, body: Any) -> Any:
        self._admit()
        reply = self._transport.exchange(
            "POST",
            path,
            body=json.dumps(body).encode(),
            timeout_s=self._timeout_s,
            request_id=self._request.id,
        )
        if reply.status != 200:
            raise status_failure(
                reply.status,
                reply.content_type,
                reply.body,
                path,
                retry_after_s(reply.headers.get("Retry-After")),
            )
        if looks_like_html(reply.content_type, reply.body):
            raise not_lightllm("the server", "an HTML page")
        return parse_object(reply.body)


def _generated_ids(data: dict[str, Any]) -> list[Any]:
    tokens = data.get("tokens")
    if not isinstance(tokens, list):
        raise BadResponseError("the answer lists no tokens, although return_details was sent")
    return [token.get("id") for token in tokens if isinstance(token, dict)]
