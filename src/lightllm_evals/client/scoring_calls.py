"""The HTTP exchanges of one scoring request: scored prompts, token counts, greedy tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightllm_evals.client.answers import check_finish, count, failed_event, parse_object
from lightllm_evals.client.failures import (
    TransientError,
    looks_like_html,
    not_lightllm,
    status_failure,
)
from lightllm_evals.client.prompt_logprobs import (
    START_KEY,
    ScoredPrompt,
    listed_tokens,
    parse_prompt_logprobs,
    scoring_parameters,
)
from lightllm_evals.client.retry import retry_after_s
from lightllm_evals.client.transport import Transport
from lightllm_evals.errors import BadResponseError, PromptTooLongError
from lightllm_evals.records import Request, ServerInfo


class ScoringCalls:
    """Asks a server about texts, and keeps its answers until they are used up.

    An attempt that fails half way leaves what it has: the next one asks for the rest only.

    Args:
        request: What is to be scored; its id and its ``add_special_tokens`` are sent.
        transport: The way to the server.
        info: What the probe found, None is tolerant of both dialects.
        timeout_s: Hard deadline of each exchange.
        clock: Monotonic seconds.
        admit: Waits for the rate limit; called before each exchange.

    Attributes:
        num_prompt_tokens: Length of all prompts that were scored.
        asked_s: Seconds that the exchanges took, without waits for the rate limit.
    """

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
        self.num_prompt_tokens = 0
        self.asked_s = 0.0
        self._request = request
        self._transport = transport
        self._info = info
        self._timeout_s = timeout_s
        self._clock = clock
        self._admit = admit
        self._counts: dict[tuple[str, bool], int] = {}
        self._scored: dict[tuple[object, ...], ScoredPrompt] = {}

    def score(
        self,
        inputs: str | Sequence[int],
        *,
        start: int = 0,
        add_special_tokens: bool | None = None,
    ) -> ScoredPrompt:
        """Returns a prompt with the log-probabilities of its tokens from a position on.

        Args:
            inputs: A text, or token ids, which are scored as they are.
            start: Values before it are not read; our own server leaves them out.
            add_special_tokens: Whether a text gets a BOS token; None is as the request says.

        Raises:
            PromptTooLongError: It does not fit, or the server cut it.
            BadResponseError: The values are missing, or of another prompt.
        """
        adds = self._adds(add_special_tokens)
        key = (inputs if isinstance(inputs, str) else tuple(inputs), start, adds)
        if key not in self._scored:
            scored = self._ask_score(inputs, start, adds)
            if isinstance(inputs, str):
                self._check_whole(inputs, len(scored.token_ids), adds)
            self.num_prompt_tokens += len(scored.token_ids)
            self._scored[key] = scored
        return self._scored[key]

    def token_ids(self, text: str, *, add_special_tokens: bool = False) -> tuple[int, ...]:
        """Returns the ids of a text, which LightLLM tells only along with its scores."""
        # Nothing of it is read, so nothing need be scored. A token has one byte at least.
        start = len(text.encode("utf-8", "surrogatepass")) + 1
        return self.score(text, start=start, add_special_tokens=add_special_tokens).token_ids

    def count(self, text: str, *, add_special_tokens: bool | None = None) -> int:
        """Returns how many tokens a text has.

        Raises:
            BadResponseError: The server does not say.
        """
        adds = self._adds(add_special_tokens)
        if (text, adds) not in self._counts:
            # The older dialect's default is to add them, and it takes little else.
            parameters = {} if adds else {"add_special_tokens": False}
            answer = self._post("/tokens", {"text": text, "parameters": parameters})
            number = count(answer.get("ntokens"))
            if number is None:
                raise BadResponseError(
                    f"/tokens does not say how many tokens: {str(dict(answer))[:200]}"
                )
            self._counts[text, adds] = number
        return self._counts[text, adds]

    def greedy_ids(self, prefix_ids: Sequence[int], number: int) -> list[Any]:
        """Returns the tokens that greedy decoding adds to a prefix, at most so many.

        Raises:
            BadResponseError: The server does not list them.
        """
        # A model that would end here does not give the wanted tokens: EOS is not ignored.
        parameters = {"max_new_tokens": number, "return_details": True, "ignore_eos": False}
        tokens = listed_tokens(self._generate(prefix_ids, adds=True, **parameters))
        if not tokens:
            raise BadResponseError("the answer lists no tokens, although return_details was sent")
        return [token.get("id") for token in tokens]

    def forget(self) -> None:
        """Drops the scored prompts that a retry would have needed; counts stay."""
        self._scored.clear()

    def _adds(self, given: bool | None) -> bool:
        return self._request.params.add_special_tokens if given is None else given

    def _ask_score(self, inputs: str | Sequence[int], start: int, adds: bool) -> ScoredPrompt:
        has_start = self._info is not None and self._info.has_logprob_start and start > 0
        data = self._generate(inputs, adds=adds, **({START_KEY: start} if has_start else {}))
        return parse_prompt_logprobs(
            data,
            () if isinstance(inputs, str) else inputs,
            start,
            needs_rank=not has_start,
        )

    def _check_whole(self, text: str, num_scored: int, adds: bool) -> None:
        """Makes sure that a server with a truncation mode did not cut a text.

        Such a prompt is as long as the limit allows; no other need be counted.
        """
        limit = self._info.max_req_total_len if self._info else None
        if limit is not None and num_scored + 1 < limit:
            return
        num_tokens = self.count(text, add_special_tokens=adds)
        if num_tokens > num_scored:
            raise PromptTooLongError(
                f"the server cut a prompt of {num_tokens} tokens to {num_scored}; shorten the "
                "prompt, or start the server with a higher --max_req_total_len and without "
                "--long_truncation_mode"
            )
        if num_tokens < num_scored:
            raise BadResponseError(
                f"the server scored {num_scored} tokens of a text that has {num_tokens} by /tokens"
            )

    def _generate(
        self, inputs: str | Sequence[int], *, adds: bool, **parameters: Any
    ) -> Mapping[str, Any]:
        body = {
            "inputs": inputs if isinstance(inputs, str) else list(inputs),
            "parameters": scoring_parameters(add_special_tokens=adds) | parameters,
        }
        data = self._post("/generate", body)
        check_finish(data.get("finish_reason"))
        return data

    def _post(self, path: str, body: Any) -> Mapping[str, Any]:
        self._admit()
        started_at = self._clock()
        reply = self._transport.exchange(
            "POST",
            path,
            body=json.dumps(body).encode(),
            timeout_s=self._timeout_s,
            request_id=self._request.id,
        )
        self.asked_s += reply.ended_at - started_at
        if reply.status != 200:
            wait_s = retry_after_s(reply.headers.get("Retry-After"))
            raise status_failure(reply.status, reply.content_type, reply.body, path, wait_s)
        if looks_like_html(reply.content_type, reply.body):
            raise TransientError(not_lightllm("the server", "an HTML page"))
        data = parse_object(reply.body)
        if data.get("error"):
            raise failed_event(data)
        return data
