"""Things that are opened in the background, once."""

from __future__ import annotations

import threading

import pytest

from lightllm_evals.errors import ConfigError, HarnessError
from lightllm_evals.runs.opening import Opening

DEADLINE_S = 30


class Door:
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.num_closed = 0
        self.is_closed = threading.Event()

    def close(self) -> None:
        self.num_closed += 1
        self.is_closed.set()


def test_it_opens_once_however_many_ask() -> None:
    opened: list[Door] = []

    def open_it() -> Door:
        opened.append(Door())
        return opened[-1]

    opening = Opening(open_it)
    assert (opening.has_begun, opening.opened) == (False, None)
    opening.begin()
    opening.begin()
    assert opening.wait() is opening.wait() is opening.opened is opened[0]
    assert opening.has_begun
    assert len(opened) == 1


def test_waiting_begins() -> None:
    door = Door()
    assert Opening(lambda: door).wait() is door


def test_an_error_of_ours_is_raised_for_everybody_who_waits() -> None:
    told: list[object] = []

    def open_it() -> Door:
        raise ConfigError("no key")

    opening = Opening(open_it, told.append)
    for _ in range(2):
        with pytest.raises(ConfigError, match="no key"):
            opening.wait()
    assert opening.opened is None
    assert [str(each) for each in told] == ["no key"]


def test_any_other_error_is_raised_as_it_is() -> None:
    told: list[object] = []

    def open_it() -> Door:
        raise ZeroDivisionError("by accident")

    opening = Opening(open_it, told.append)
    with pytest.raises(ZeroDivisionError, match="by accident"):
        opening.wait()
    (error,) = told
    assert isinstance(error, HarnessError)
    assert "by accident" in str(error)


def test_what_is_open_is_closed_when_nobody_wants_it() -> None:
    door = Door()
    opening = Opening(lambda: door)
    opening.wait()
    opening.abandon()
    assert door.num_closed == 1


def test_what_opens_after_it_was_given_up_is_closed_at_once() -> None:
    door, may_open = Door(), threading.Event()

    def open_it() -> Door:
        assert may_open.wait(DEADLINE_S)
        return door

    opening = Opening(open_it)
    opening.begin()
    opening.abandon()
    assert door.num_closed == 0
    may_open.set()
    assert door.is_closed.wait(DEADLINE_S)
    assert opening.wait() is door
    assert door.num_closed == 1


def test_giving_up_what_was_never_begun_or_failed_does_nothing() -> None:
    def open_it() -> Door:
        raise ConfigError("no key")

    opening = Opening(open_it)
    opening.abandon()
    assert not opening.has_begun
    with pytest.raises(ConfigError):
        opening.wait()
    opening.abandon()
