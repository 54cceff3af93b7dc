"""The backend without a model: canned answers, and the time that a model would take."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from lightllm_evals.embedded import pieces
from lightllm_evals.embedded.answers import UNKNOWN, Answer, Answers
from lightllm_evals.embedded.engine import (
    Completed,
    Decoding,
    OnToken,
    PromptToken,
    Stopper,
    Token,
)
from lightllm_evals.embedded.steps import StepLoop, Timing
from lightllm_evals.records import Message

MAX_KEPT_COMPLETIONS = 10_000

_TURN_START = "<|im_start|>"
_TURN_END = "<|im_end|>"
_EOS = Token(
    id=pieces.EOS_ID, text=_TURN_END, piece=_TURN_END, logprob=-0.001, rank=1, is_special=True
)


class SimulatedEngine:
    """Answers known prompts from a file, others with a fixed text."""

    name = "simulated"
    vocab_size = pieces.VOCAB_SIZE
    bos_id = pieces.BOS_ID
    eos_ids = frozenset([pieces.EOS_ID])

    def __init__(self, answers: Answers, timing: Timing, num_slots: int) -> None:
        self.num_slots = num_slots
        self.answers = answers
        self._timing = timing
        self._tokenizer = pieces.PieceTokenizer()
        self._steps = StepLoop(timing, num_slots)
        self._turns: Counter[str] = Counter()
        self._tokens: dict[Answer, list[Token]] = {}
        self._completed: dict[tuple[object, ...], Completed] = {}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, without BOS."""
        return self._tokenizer.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Returns the text of ids."""
        return self._tokenizer.decode(token_ids)

    def num_running(self) -> int:
        """Returns how many completions run or wait."""
        return len(self._steps)

    def render_chat(self, messages: Sequence[Message]) -> str:
        """Returns the chat in ChatML, without a system turn of its own."""
        turns = [f"{_TURN_START}{m.role}\n{m.content}{_TURN_END}\n" for m in messages]
        return "".join([*turns, f"{_TURN_START}assistant\n"])

    async def generate(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding,
        stopper: Stopper,
        on_token: OnToken | None = None,
    ) -> Completed:
        """Continues a prompt with its canned answer, in the time that the steps take."""
        start = 1 if prompt_ids[0] == pieces.BOS_ID else 0
        answer = self._answer(self.decode(prompt_ids[start:]), decoding.seed)
        completed = self._cut(answer, stopper)
        tokens = completed.tokens

        def report(position: int) -> None:
            if on_token is not None:
                is_last = position == len(tokens) - 1
                on_token(tokens[position], completed.finish_reason if is_last else "")

        if not self._timing.is_instant:
            on_step = None if on_token is None else report
            await self._steps.run(len(prompt_ids), len(tokens), on_step)
        elif on_token is not None:
            for position in range(len(tokens)):
                report(position)
        return completed

    async def prompt_logprobs(
        self,
        prompt_ids: Sequence[int],
        num_top: int,
        start: int = 0,
        *,
        needs_rank: bool = True,
    ) -> list[list[PromptToken]]:
        """Returns made-up values; the best K are the token's neighbours.

        A value depends on the token alone, as in a completion. Where what comes before ``start``
        is a known prompt, its canned completions are all but certain and others unlikely.
        """
        del needs_rank
        if not self._timing.is_instant:
            await self._steps.run(len(prompt_ids), 1, None)
        begin = max(start, 1)
        is_known, is_likely = self._expectation(prompt_ids, start)
        scored: list[list[PromptToken]] = [[] for _ in prompt_ids[1:begin]]
        for token_id in prompt_ids[begin:]:
            logprob = _made_up_logprob(token_id)
            if is_known:
                logprob = logprob / 1000 if is_likely else logprob - 1
            own = PromptToken(
                id=token_id,
                text=self.decode([token_id]),
                logprob=logprob,
                rank=2 if is_known and not is_likely else 1,
            )
            others = [
                PromptToken(
                    id=(token_id + step) % pieces.VOCAB_SIZE,
                    text="",
                    logprob=own.logprob - step,
                    rank=step + 1,
                )
                for step in range(1, num_top)
            ]
            best = [own, *others] if num_top else []
            scored.append([own, *best])
        return scored

    def _expectation(self, prompt_ids: Sequence[int], start: int) -> tuple[bool, bool]:
        """Returns whether a text begins with a known prompt, and goes on as its answer does."""
        bos = 1 if prompt_ids[0] == pieces.BOS_ID else 0
        if start <= bos:
            # Nothing stands before it, or it was not said where the prompt ends.
            return False, False
        found = self.answers.find(self.decode(prompt_ids[bos:start]))
        rest = self.decode(prompt_ids[start:])
        return bool(found), any(answer.completion == rest for answer in found or ())

    def _answer(self, prompt: str, seed: int | None) -> Answer:
        found = self.answers.find(prompt)
        if found is None:
            prompt = last_user_turn(prompt)
            found = self.answers.find(prompt)
        if not found:
            return UNKNOWN
        if len(found) == 1:
            return found[0]
        turn = seed if seed is not None else self._turns[prompt]
        self._turns[prompt] += 1
        return found[turn % len(found)]

    def _cut(self, answer: Answer, stopper: Stopper) -> Completed:
        known = self._completed.get((answer, stopper.rules))
        if known is not None:
            return known
        if len(self._completed) >= MAX_KEPT_COMPLETIONS:
            self._completed.clear()
        completed = Completed()
        for token in self._endless(answer):
            completed.tokens.append(token)
            completed.finish_reason = stopper.push(token)
            if completed.finish_reason:
                break
        self._completed[answer, stopper.rules] = completed
        return completed

    def _endless(self, answer: Answer) -> Iterator[Token]:
        """Yields an answer, the end of text, and then, for ``ignore_eos``, all again."""
        tokens = self._tokens.get(answer)
        if tokens is None:
            tokens = [*self._answer_tokens(answer), _EOS]
            self._tokens[answer] = tokens
        return itertools.cycle(tokens)

    def _answer_tokens(self, answer: Answer) -> list[Token]:
        ids = self.encode(answer.completion)
        if answer.output_tokens is None:
            tokens = [self._token(i, self.decode([i])) for i in ids]
            if "".join(token.text for token in tokens) == answer.completion:
                return tokens
        # Reached without output_tokens only when a word had to be spelled in bytes.
        num_slices = len(ids) if answer.output_tokens is None else answer.output_tokens - 1
        slices = _slices(answer.completion, num_slices)
        # A slice of several words counts as one token all the same; its first id stands for it.
        return [self._token((self.encode(text) or [0])[0], text) for text in slices]

    def _token(self, token_id: int, text: str) -> Token:
        return Token(
            id=token_id, text=text, piece=text, logprob=_made_up_logprob(token_id), rank=1
        )


def last_user_turn(prompt: str) -> str:
    """Returns what the user said last in a ChatML prompt; other prompts unchanged."""
    _, found, rest = prompt.rpartition(f"{_TURN_START}user\n")
    return rest.partition(f"{_TURN_END}\n")[0] if found else prompt


def _slices(text: str, num_slices: int) -> list[str]:
    """Returns the text in so many parts of about the same length, some of them maybe empty."""
    ends = [len(text) * part // num_slices for part in range(num_slices + 1)] if num_slices else []
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def _made_up_logprob(token_id: int) -> float:
    """Returns a value in (-1, 0) that depends on the token alone."""
    return -(token_id % 997 + 1) / 1000
