from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lightllm_evals.client.deadline import Flight, Line, Watchdog

SOON_S = 30


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(SOON_S)
        theirs.settimeout(SOON_S)
        yield ours, theirs


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


Pair = tuple[socket.socket, socket.socket]


def test_a_request_that_is_ended_wakes_its_reader(pair: Pair) -> None:
    flight = Flight(0.0)
    flight.use(Line(), pair[0])
    flight.end("timed out")
    assert pair[0].recv(1) == b""
    assert flight.land() == "timed out"


def test_a_request_that_is_over_cannot_be_ended(pair: Pair) -> None:
    flight = Flight(0.0)
    flight.use(Line(), pair[0])
    assert flight.land() == "done"
    flight.end("cancelled")
    assert flight.state == "done"
    pair[1].sendall(b"x")
    assert pair[0].recv(1) == b"x"


def test_a_late_end_spares_the_next_request_on_the_same_connection(pair: Pair) -> None:
    # The pool hands a connection on as soon as the answer is read, before the first request
    # is marked as done.
    line = Line()
    first, second = Flight(0.0), Flight(0.0)
    first.use(line, pair[0])
    second.use(line, pair[0])
    first.end("timed out")
    first.land()
    pair[1].sendall(b"x")
    assert pair[0].recv(1) == b"x"
    assert line.idle_since is None
    assert second.land() == "done"
    assert line.idle_since is not None


def test_a_connection_made_after_the_end_is_shut_at_once(pair: Pair) -> None:
    flight = Flight(0.0)
    flight.end("cancelled")
    flight.use(Line(), pair[0])
    assert pair[0].recv(1) == b""


def test_the_shortest_deadline_is_kept_though_a_longer_one_was_first(
    pair: Pair, watchdog: Watchdog
) -> None:
    with watchdog.flight(600.0) as patient, watchdog.flight(0.05) as hasty:
        hasty.use(Line(), pair[0])
        assert pair[0].recv(1) == b""
        assert hasty.state == "timed out"
        assert patient.state == "running"


def test_nothing_starts_after_cancelling(watchdog: Watchdog) -> None:
    with watchdog.flight(600.0) as before:
        watchdog.cancel_all()
        assert before.state == "cancelled"
    with watchdog.flight(600.0) as after:
        assert after.state == "cancelled"


def test_closing_twice_is_harmless(watchdog: Watchdog) -> None:
    with watchdog.flight(600.0):
        pass
    watchdog.close()
    watchdog.close()
