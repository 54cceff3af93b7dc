"""Completions on their way from the threads that fetch them to the cases that wait."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from lightllm_evals import errors
from lightllm_evals.errors import HarnessError, RequestError
from lightllm_evals.records import Completion, from_json, to_json

Outcome = Completion | HarnessError


class Mailbox:
    """Outcomes by request id: any thread puts them, a case waits for its own."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._changed = threading.Condition()
        self._closed: HarnessError | None = None

    def put(self, request_id: str, outcome: Outcome) -> None:
        """Stores an outcome and wakes whoever waits for it."""
        with self._changed:
            self._outcomes[request_id] = outcome
            self._changed.notify_all()

    def close(self, reason: HarnessError) -> None:
        """Gives ``reason`` to everyone who waits or will wait for what has not arrived."""
        with self._changed:
            self._closed = self._closed or reason
            self._changed.notify_all()

    def get(self, request_id: str) -> Outcome | None:
        """Returns the outcome of a request, None while there is none."""
        with self._changed:
            return self._outcomes.get(request_id)

    def discard(self, request_id: str) -> Outcome | None:
        """Returns the outcome of a request, if there is one, and forgets it."""
        with self._changed:
            return self._outcomes.pop(request_id, None)

    def wait(self, request_id: str, ask: Callable[[], None]) -> Completion:
        """Returns the completion of a request, however long it takes.

        Args:
            request_id: Whose completion.
            ask: Called once, before waiting, if the outcome is not here yet.

        Raises:
            HarnessError: The request failed, or the mailbox was closed before it came.
        """
        if self.get(request_id) is None:
            ask()
        with self._changed:
            self._changed.wait_for(lambda: request_id in self._outcomes or self._closed)
            outcome = self._outcomes.get(request_id) or self._closed
        if isinstance(outcome, Completion):
            return outcome
        assert outcome is not None
        raise outcome


def encode_outcome(outcome: Outcome) -> str:
    """Returns an outcome as ASCII text, which survives every channel."""
    if isinstance(outcome, Completion):
        return json.dumps({"completion": to_json(outcome)})
    return json.dumps(encode_error(outcome))


def decode_outcome(text: str) -> Outcome:
    """Returns the outcome that ``encode_outcome`` wrote."""
    data = json.loads(text)
    if "completion" in data:
        return from_json(Completion, data["completion"])
    return decode_error(data)


def encode_error(error: HarnessError) -> dict[str, str]:
    """Returns an error's class, sentence, request id and URL."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "request_id": getattr(error, "request_id", ""),
        "url": getattr(error, "url", ""),
    }


def decode_error(data: dict[str, str]) -> HarnessError:
    """Returns the error that ``encode_error`` described; a plain HarnessError if unknown."""
    kind = getattr(errors, data["error"], HarnessError)
    if issubclass(kind, RequestError):
        return kind(data["message"], data["request_id"], data["url"])
    return (
        HarnessError(data["message"])
        if not issubclass(kind, HarnessError)
        else kind(data["message"])
    )
