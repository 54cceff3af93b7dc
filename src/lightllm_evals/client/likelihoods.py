"""The attempts at one scoring request: the likelihoods of a sample's choices, one by one.

Contexts and continuations are split as lm-evaluation-harness splits them
(``lm_eval/api/model.py``, ``_encode_pair``): trailing spaces of the context belong to the
continuation, both are tokenized together, and the continuation is what comes after as many
tokens as the context alone has.
"""

from __future__ import annotations

from collections.abc import Callable

from lightllm_evals.client.prompt_logprobs import ScoredPrompt
from lightllm_evals.client.rolling import ANCHOR, split_text, windows
from lightllm_evals.client.scoring_calls import ScoringCalls
from lightllm_evals.client.transport import Transport
from lightllm_evals.errors import ConfigError, RequestRejectedError
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

# A piece of a text may get a token in front (SentencePiece's space) beside its anchor and BOS.
_PIECE_RESERVE = 4


class LikelihoodAttempts:
    """Makes attempts at one scoring request; choices that were scored are not asked again.

    The arguments are those of ``ScoringCalls``.
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
        self._request = request
        self._url = transport.url
        self._calls = ScoringCalls(
            request,
            transport=transport,
            info=info,
            timeout_s=timeout_s,
            clock=clock,
            admit=admit,
        )
        self._scored: list[Likelihood] = []
        self._limit = info.max_req_total_len if info else None
        self._adds_bos = (
            info is not None and bool(info.adds_bos) and request.params.add_special_tokens
        )

    def run(self, number: int) -> Completion:
        """Returns the likelihoods of all choices, once attempt ``number`` has the last of them.

        Raises:
            TransientError: The next attempt may get them.
            RequestError: It would not.
            ConfigError: The text cannot be scored in this way.
        """
        self._calls.asked_s = 0.0
        for choice in self._request.choices[len(self._scored) :]:
            self._scored.append(self._likelihood(choice))
            self._calls.forget()
        return Completion(
            text="",
            finish_reason=SCORED,
            prompt_tokens=self._calls.num_prompt_tokens,
            output_tokens=0,
            latency_s=self._calls.asked_s,
            attempts=number,
            server=self._url,
            likelihoods=tuple(self._scored),
        )

    def _likelihood(self, choice: Choice) -> Likelihood:
        context = self._request.prompt + choice.context
        if not choice.continuation:
            raise RequestRejectedError("a continuation is empty: there is no token to score")
        if self._request.scoring == "rolling":
            return self._rolling(context, choice.continuation)
        whole = context + choice.continuation
        # Of a whole text nothing but its first token is left out, which has no value.
        start = 1 if self._request.scoring == "ppl-full" else self._num_context_tokens(context)
        scored = self._calls.score(whole, start=start)
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

    def _num_context_tokens(self, context: str) -> int:
        """Returns how many tokens stand before the continuation, BOS included; at least 1."""
        if context.strip():
            return self._calls.count(context.rstrip())
        if not self._adds_bos:
            raise RequestRejectedError(
                "the context is empty and the server adds no BOS token, so that nothing stands "
                "before the first token and it has no log-probability; give the choice a context"
            )
        return 1

    def _is_greedy(self, scored: ScoredPrompt, start: int) -> bool:
        """Returns whether greedy decoding would give just these tokens."""
        if scored.has_ranks:
            return all(rank == 1 for rank in scored.ranks[start:])
        wanted = list(scored.token_ids[start:])
        return self._calls.greedy_ids(scored.token_ids[:start], len(wanted)) == wanted

    def _rolling(self, context: str, text: str) -> Likelihood:
        """Returns the log-probability of every token of a long text, each scored once."""
        prefix_id = self._prefix_id(context)
        ids = self._text_ids(text)
        total = 0.0
        for window in windows(ids, prefix_id, self._window):
            scored = self._calls.score(window.token_ids, start=window.start)
            total += scored.sum_from(window.start)
        return Likelihood(logprob=total, num_tokens=len(ids))

    @property
    def _window(self) -> int:
        # A window has one token of context before it, and the server generates one behind it.
        return max(self._limit - 2, 1) if self._limit else _DEFAULT_WINDOW

    def _prefix_id(self, context: str) -> int:
        """Returns the token before the first one: what the context says, else BOS."""
        if not context and not self._adds_bos:
            raise ConfigError(
                "A rolling score needs a token before the first one, and this model's tokenizer "
                "adds no BOS: name one in the profile, as in prefix_text = '<|endoftext|>'."
            )
        if not context:
            return self._calls.token_ids(ANCHOR, add_special_tokens=True)[0]
        ids = self._calls.token_ids(context)
        if len(ids) != 1:
            raise ConfigError(
                f"The profile's prefix_text {context!r} is {len(ids)} tokens for this model; "
                "it has to be the text of one special token."
            )
        return ids[0]

    def _text_ids(self, text: str) -> list[int]:
        """Returns the ids of a text that is too long for one prompt, from its pieces.

        Raises:
            RequestRejectedError: The pieces' tokens are not those of the whole.
        """
        first, *others = split_text(text, max(self._window - _PIECE_RESERVE, 1))
        ids = list(self._calls.token_ids(first))
        is_same = True
        for piece in others:
            # SentencePiece puts a space before any text: behind an anchor it cannot.
            anchor = self._calls.token_ids(ANCHOR)
            both = self._calls.token_ids(ANCHOR + piece)
            is_same = is_same and both[: len(anchor)] == anchor
            ids += both[len(anchor) :]
        if not is_same or len(ids) != self._calls.count(text, add_special_tokens=False):
            raise RequestRejectedError(
                f"a text of {len(text)} characters is tokenized otherwise in {len(others) + 1} "
                "pieces than as a whole, so that its windows would not be the reference's; start "
                "the server with a higher --max_req_total_len"
            )
        return ids
