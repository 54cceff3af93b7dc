"""Hard deadlines: one thread that shuts the sockets of requests whose time is up.

A socket's own timeout starts anew with each byte, so a server that trickles headers or body
outlives it for ever. Shutting the socket down from outside ends the wait at once, wherever it
is, and tells the server to drop the request. The same way serves cancelling.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

State = Literal["running", "done", "timed out", "cancelled"]


class Line:
    """The socket of one kept-alive connection, and which request has it at the moment.

    Attributes:
        idle_since: When its last request was over, by ``time.monotonic``; None while it is used.
    """

    def __init__(self) -> None:
        self.idle_since: float | None = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._flight: Flight | None = None

    def take(self, flight: Flight, connected: socket.socket) -> None:
        """Gives the line to a request."""
        with self._lock:
            self._flight = flight
            self._socket = connected
            self.idle_since = None

    def leave(self, flight: Flight) -> None:
        """Frees the line, unless the next request has it already."""
        with self._lock:
            if self._flight is flight:
                self._flight = None
                self.idle_since = time.monotonic()

    def shut(self, flight: Flight) -> None:
        """Shuts the socket down, unless the line is another request's by now."""
        with self._lock:
            if self._flight is flight and self._socket is not None:
                _shut(self._socket)


class Flight:
    """One request in flight.

    Attributes:
        deadline: When it must be over, by ``time.monotonic``.
        state: "running" until it is "done" or ended from outside.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.state: State = "running"
        self._lock = threading.Lock()
        self._line: Line | None = None

    def use(self, line: Line, connected: socket.socket) -> None:
        """Tells on which line the request travels; called by the requesting thread."""
        with self._lock:
            self._line = line
            line.take(self, connected)
            if self.state != "running":
                line.shut(self)

    def end(self, state: Literal["timed out", "cancelled"]) -> None:
        """Ends the request from outside, unless it is over."""
        with self._lock:
            if self.state == "running":
                self.state = state
                if self._line is not None:
                    self._line.shut(self)

    def land(self) -> State:
        """Marks the request as done and returns how it ended; nothing shuts its socket then."""
        with self._lock:
            if self.state == "running":
                self.state = "done"
            if self._line is not None:
                self._line.leave(self)
            return self.state


def _shut(connected: socket.socket) -> None:
    # The plain socket's method, since that of a TLS socket takes the reader's state away. The
    # reader wakes with end of file and closes the socket itself; a socket that is not
    # connected any more needs nothing.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class Watchdog:
    """Keeps the deadlines of all requests in flight of one client; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flights: set[Flight] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0
        self._is_cancelled = False
        self._is_closed = False

    @contextlib.contextmanager
    def flight(self, timeout_s: float) -> Iterator[Flight]:
        """Watches over a request for as long as the block runs."""
        flight = Flight(time.monotonic() + timeout_s)
        self._add(flight)
        try:
            yield flight
        finally:
            flight.land()
            with self._changed:
                self._flights.discard(flight)

    def cancel_all(self) -> None:
        """Ends every request in flight, and every later one at its start."""
        with self._changed:
            self._is_cancelled = True
            flights = list(self._flights)
        for flight in flights:
            flight.end("cancelled")

    def close(self) -> None:
        """Cancels everything and ends the thread."""
        self.cancel_all()
        with self._changed:
            self._is_closed = True
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _add(self, flight: Flight) -> None:
        with self._changed:
            if self._is_cancelled:
                flight.end("cancelled")
                return
            self._flights.add(flight)
            if self._thread is None:
                self._thread = _start(self._watch)
            elif flight.deadline < self._wakes_at:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                for flight in [flight for flight in self._flights if flight.deadline <= now]:
                    flight.end("timed out")
                    self._flights.discard(flight)
                # Requests that end in time leave this alone: it wakes about once a deadline.
                self._wakes_at = min((f.deadline for f in self._flights), default=now + 3600)
                self._changed.wait(max(0.0, self._wakes_at - now))


def _start(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name="lightllm-evals deadlines", daemon=True)
    thread.start()
    return thread
