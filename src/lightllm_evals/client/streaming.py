"""Server-sent events, and the answer that they add up to.

Framing: https://html.spec.whatwg.org/multipage/server-sent-events.html. LightLLM's native
streams write ``data:`` without a space and end without ``[DONE]``; its ``/v1`` streams write
``data: `` and may end with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lightllm_evals.client.answers import (
    Answer,
    check_finish,
    count,
    failed_event,
    whole_characters,
)
from lightllm_evals.client.failures import transient


class EventParser:
    """Splits a stream of bytes, cut anywhere, into the data of its events."""

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the data of the events that this chunk completes."""
        # A CR at the end may be half of a CRLF, so it waits for the next chunk.
        *lines, self._pending = _lines(self._pending + chunk)
        return [event for line in lines if (event := self._take(line)) is not None]

    def close(self) -> list[bytes]:
        """Returns the data of an event that the end of the stream cut off, if there is one."""
        events = [*self.feed(b"\n"), *self.feed(b"\n")]
        self._pending = b""
        return events

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            event, self._data = self._data, []
            return b"\n".join(event) if event else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        return None


def _lines(data: bytes) -> list[bytes]:
    held = b"\r" if data.endswith(b"\r") else b""
    body = data[: len(data) - len(held)]
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines[-1] += held
    return lines


class StreamReader:
    """Adds the events of one stream up to an answer, and times the tokens.

    Attributes:
        is_fed: Bytes of a stream came.
        is_finished: An event said why the generation ended: the answer is complete,
            whatever happens to the connection.
        num_events: Events seen; a stream without any was refused in [A]'s way.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._parser = EventParser()
        self._texts: list[str] = []
        self._finish_reason = ""
        self._prompt_tokens: int | None = None
        self._counted_tokens: int | None = None
        self._num_tokens = 0
        self.is_fed = False
        self.is_finished = False
        self.num_events = 0
        self._first_token_at: float | None = None
        self._last_token_at = 0.0

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the body.

        Raises:
            RequestRejectedError: The server refused the request within the stream.
            TransientError: An event is not LightLLM's.
        """
        self.is_fed = True
        for data in self._parser.feed(chunk):
            self._event(data)

    def ttft_s(self, started_at: float) -> float | None:
        """Returns the seconds from a start to the first token, None where there was none."""
        return None if self._first_token_at is None else self._first_token_at - started_at

    def tpot_s(self, output_tokens: int) -> float | None:
        """Returns the mean seconds per token after the first, None with fewer than two."""
        if self._first_token_at is None or output_tokens < 2:
            return None
        return (self._last_token_at - self._first_token_at) / (output_tokens - 1)

    def answer(self) -> Answer:
        """Returns the answer, once the stream has ended.

        Raises:
            TransientError: No event said that the generation is finished.
        """
        if not self.is_finished:
            for data in self._parser.close():
                self._event(data)
        if not self.is_finished:
            raise transient(
                f"the stream ended after {self.num_events} events, none of which says that "
                "the generation is finished"
            )
        tokens = self._counted_tokens
        return Answer(
            text=whole_characters("".join(self._texts)),
            finish_reason=check_finish(self._finish_reason),
            prompt_tokens=self._prompt_tokens,
            output_tokens=self._num_tokens if tokens is None else tokens,
        )

    def _event(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise transient(f"an event of the stream is not JSON: {error}") from error
        if not isinstance(event, Mapping):
            raise transient(f"an event of the stream is no object: {str(event)[:100]}")
        self.num_events += 1
        if event.get("error"):
            raise failed_event(event)
        if "token" in event:
            self._native(event)
        else:
            self._openai(event)

    def _native(self, event: Mapping[str, Any]) -> None:
        token = event["token"]
        if not isinstance(token, Mapping):
            raise transient(f"the token of an event is no object: {str(token)[:100]}")
        self._token(str(token.get("text") or ""))
        self._counted_tokens = count(token.get("count_output_tokens")) or self._num_tokens
        self._prompt_tokens = count(token.get("prompt_tokens"))
        if event.get("finished"):
            self._finish(event.get("finish_reason"))

    def _openai(self, event: Mapping[str, Any]) -> None:
        usage = event.get("usage")
        if isinstance(usage, Mapping):
            self._prompt_tokens = count(usage.get("prompt_tokens"))
            self._counted_tokens = count(usage.get("completion_tokens"))
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and not choice.get("index"):
                self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta")
        source = delta if isinstance(delta, Mapping) else choice
        text = str(source.get("content") or source.get("text") or "")
        # [B] opens a chat with a chunk that has a role and no token; [A] sends a token a chunk.
        is_opening = not text and not self._num_tokens and not choice.get("finish_reason")
        if not is_opening:
            self._token(text)
        if choice.get("finish_reason"):
            self._finish(choice["finish_reason"])

    def _token(self, text: str) -> None:
        now = self._clock()
        self._texts.append(text)
        self._num_tokens += 1
        self._last_token_at = now
        if self._first_token_at is None:
            self._first_token_at = now

    def _finish(self, reason: Any) -> None:
        self.is_finished = True
        self._finish_reason = str(reason or "")
