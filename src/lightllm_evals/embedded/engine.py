"""What a backend is: a tokenizer, and a model that continues token ids until told to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lightllm_evals.records import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One generated token.

    Attributes:
        id: In the backend's vocabulary.
        text: What it adds to the completion; "" while a multi-byte character is incomplete.
        piece: Its text on its own.
        logprob: Natural logarithm of its probability, from the raw logits.
        rank: 1 for the most probable; None where the backend did not look that far.
        is_special: End of text or another control token.
    """

    id: int
    text: str
    piece: str
    logprob: float | None = None
    rank: int | None = None
    is_special: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are picked; the names and ranges are LightLLM's.

    Attributes:
        wants_logprobs: Log-probabilities of the output will be shown.
        seed: None for the server's own randomness.
        banned_token_ids: Never generated.
    """

    max_new_tokens: int
    min_new_tokens: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    ignore_eos: bool = False
    seed: int | None = None
    banned_token_ids: tuple[int, ...] = ()
    wants_logprobs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptToken:
    """What the model thought of one token of the prompt; see ``Token`` for the fields."""

    id: int
    text: str
    logprob: float
    rank: int | None


@dataclass(slots=True, kw_only=True)
class Completed:
    """The tokens of one completion and why it ended ("stop" or "length").

    Attributes:
        rendered: Where an endpoint keeps JSON that it made of the tokens; an engine that gives
            the same answer again returns the same object, and saves that work.
    """

    tokens: list[Token] = field(default_factory=list)
    finish_reason: str = ""
    rendered: dict[str, bytes] = field(default_factory=dict)


class Stopper(Protocol):
    """Decides after each token whether the completion ends there."""

    @property
    def rules(self) -> tuple[object, ...]:
        """What it goes by; equal rules end the same tokens at the same place."""

    def push(self, token: Token) -> str:
        """Returns "" to go on, else the finish reason."""


OnToken = Callable[[Token, str], None]
"""Told each token as it is made, with the finish reason that ends the completion or ""."""


class Engine(Protocol):
    """A model behind the endpoints."""

    @property
    def name(self) -> str:
        """Which backend it is, "llama" or "simulated"."""

    @property
    def vocab_size(self) -> int:
        """Ids from here on are out of the vocabulary."""

    @property
    def bos_id(self) -> int | None:
        """What ``add_special_tokens`` puts in front of a text, None for nothing."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """They end a completion."""

    @property
    def num_slots(self) -> int:
        """Completions that run at the same time; more of them wait."""

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of a text, without BOS."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Returns the text of token ids."""

    def render_chat(self, messages: Sequence[Message]) -> str:
        """Returns the prompt of a chat, ready for the assistant's turn."""

    async def generate(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding,
        stopper: Stopper,
        on_token: OnToken | None = None,
    ) -> Completed:
        """Continues a prompt until the stopper ends it; cancelling frees the slot."""

    async def prompt_logprobs(
        self,
        prompt_ids: Sequence[int],
        num_top: int,
        start: int = 0,
        *,
        needs_rank: bool = True,
    ) -> list[list[PromptToken]]:
        """Returns for each token from ``start`` on its own and the ``num_top`` best.

        The list begins with the second token; those before ``start`` are empty; 0 asks for all
        of them. Without ``needs_rank`` only a most probable token need have a rank.
        """

    def num_running(self) -> int:
        """Returns how many completions run or wait."""
