"""Asks a starting server for its health, one question at a time and without ever blocking.

The first ``/health`` of a 2025 server generates a token and is answered only then; with the
engine dead, never. Meanwhile the server's exit and its log have to be watched.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from types import TracebackType
from urllib.parse import urlsplit

_CONNECT_TIMEOUT_S = 2.0
# A server that says 503 wants some rest before it is asked again.
_REST_S = 1.0


class HealthCheck:
    """Polled until the server is healthy; a context manager that closes its connection.

    A second question while the first is open could kill a 2025 engine, so there is only one.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._host = parts.netloc
        self._connection: socket.socket | None = None
        self._answer = b""
        self._next_try_s = 0.0

    def __enter__(self) -> HealthCheck:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def is_healthy(self) -> bool:
        """Returns True once ``/health`` was answered with 200; False means not yet."""
        if self._connection is None and time.monotonic() >= self._next_try_s:
            self._ask()
        if self._connection is None or not self._is_answered():
            return False
        status = _status(self._answer)
        self._close()
        self._next_try_s = time.monotonic() + _REST_S
        return status == 200

    def _ask(self) -> None:
        request = f"GET /health HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n"
        with contextlib.ExitStack() as stack:
            try:
                connection = socket.create_connection(self._address, _CONNECT_TIMEOUT_S)
                stack.enter_context(connection)
                connection.sendall(request.encode())
            except OSError:
                # Refused is the normal case: the port opens only when the model is loaded.
                return
            connection.setblocking(False)
            self._connection = connection
            stack.pop_all()

    def _is_answered(self) -> bool:
        """Reads what is there; returns whether the status line came or the answer broke off."""
        assert self._connection is not None
        try:
            while b"\n" not in self._answer:
                chunk = self._connection.recv(65536)
                if not chunk:
                    return True
                self._answer += chunk
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._answer = b""


def _status(answer: bytes) -> int | None:
    found = re.match(rb"HTTP/1\.[01] (\d{3})[ \r]", answer)
    return int(found[1]) if found else None
