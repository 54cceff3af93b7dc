from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.errors import (
    HarnessError,
    PromptTooLongError,
    RequestCancelledError,
    RequestTimeoutError,
    SandboxError,
    ServerDiedError,
)
from lightllm_evals.records import Completion
from lightllm_evals.runs.mailbox import Mailbox, decode_outcome, encode_outcome

DEADLINE_S = 60.0


def completion(text: str) -> Completion:
    return Completion(
        text=text, finish_reason="stop", prompt_tokens=1, output_tokens=2, latency_s=0.5
    )


def test_what_is_here_is_not_asked_for() -> None:
    mailbox = Mailbox()
    mailbox.put("a", completion("yes"))
    assert mailbox.wait("a", lambda: pytest.fail("it was asked for")).text == "yes"
    assert mailbox.discard("a") is not None
    assert mailbox.get("a") is None


def test_whoever_waits_gets_its_own_outcome() -> None:
    mailbox = Mailbox()
    asked = threading.Barrier(3)

    def ask() -> None:
        asked.wait(DEADLINE_S)

    with ThreadPoolExecutor(2) as pool:
        waiting = {name: pool.submit(mailbox.wait, name, ask) for name in ("a", "b")}
        asked.wait(DEADLINE_S)
        mailbox.put("b", completion("for b"))
        mailbox.put("a", RequestTimeoutError("too late", "a", "http://x"))
        assert waiting["b"].result(DEADLINE_S).text == "for b"
        with pytest.raises(RequestTimeoutError, match="too late"):
            waiting["a"].result(DEADLINE_S)


def test_closing_ends_waiting_but_keeps_what_has_arrived() -> None:
    mailbox = Mailbox()
    mailbox.put("a", completion("yes"))
    mailbox.close(RequestCancelledError("the run has ended"))
    mailbox.close(HarnessError("a later reason"))
    assert mailbox.wait("a", lambda: None).text == "yes"
    with pytest.raises(RequestCancelledError, match="the run has ended"):
        mailbox.wait("b", lambda: None)


@given(st.text(st.characters(exclude_categories=())))
def test_any_completion_survives_the_channel(text: str) -> None:
    sent = encode_outcome(completion(text))
    assert sent.isascii()
    assert decode_outcome(sent) == completion(text)


@pytest.mark.parametrize(
    "error",
    [
        RequestTimeoutError("no answer within 3 s", "id", "http://x"),
        PromptTooLongError("9 tokens and 16 more do not fit 20", "id", "http://x"),
        ServerDiedError("it is gone"),
        SandboxError("no sandbox"),
        HarnessError("anything"),
    ],
)
def test_an_error_survives_the_channel(error: HarnessError) -> None:
    found = decode_outcome(encode_outcome(error))
    assert type(found) is type(error)
    assert str(found) == str(error)


def test_an_error_of_a_class_that_is_unknown_here_is_a_harness_error() -> None:
    found = decode_outcome('{"error": "NewError", "message": "said", "request_id": "", "url": ""}')
    assert type(found) is HarnessError
    assert str(found) == "said"
