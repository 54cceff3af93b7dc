"""HTTP/1.1 on asyncio: keep-alive, chunked bodies, and handlers that end with their client.

Written by hand because a benchmark of the harness needs a server that costs next to nothing:
a framework takes several times the CPU time of the request that it carries. Only what a client
of LightLLM uses is here; see RFC 9112 (https://www.rfc-editor.org/rfc/rfc9112).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

KEEP_ALIVE_S = 10.0
"""An idle connection is closed after this long, as both generations of LightLLM do."""

MAX_HEADER_BYTES = 64 * 1024

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
TEXT_HEADERS: Mapping[str, str] = {"content-type": "text/plain; charset=utf-8"}
EVENT_STREAM_HEADERS: Mapping[str, str] = {"content-type": "text/event-stream; charset=utf-8"}

_log = logging.getLogger(__name__)
_REASONS = {int(status): status.phrase for status in HTTPStatus}


class BadRequestError(Exception):
    """The bytes are not an HTTP request that we read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """One request and the ways to answer it: whole, in chunks, or not at all."""

    def __init__(self, connection: Connection, request: HttpRequest) -> None:
        self.request = request
        self._connection = connection
        self.is_streaming = False

    def respond(self, response: HttpResponse) -> None:
        """Writes a whole answer; to HEAD without its body."""
        head = _head(response.status, response.headers, f"content-length: {len(response.body)}")
        body = b"" if self.request.method == "HEAD" else response.body
        self._connection.write(head + body)

    def start_stream(self, headers: Mapping[str, str]) -> None:
        """Writes the head of an answer with status 200 whose chunks follow."""
        self.is_streaming = True
        self._connection.write(_head(200, headers, "transfer-encoding: chunked"))

    def send(self, data: bytes) -> None:
        """Writes one chunk of a stream."""
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        """Writes the last chunk of a stream."""
        self._connection.write(b"0\r\n\r\n")

    def write_raw(self, data: bytes) -> None:
        """Writes bytes as they are: for answers that break the protocol on purpose."""
        self._connection.write(data)

    def replaced_by(self, kind: type[Exchange]) -> Exchange:
        """Returns another kind of exchange for the same request."""
        return kind(self._connection, self.request)

    def cut(self) -> None:
        """Closes the connection after what has been written."""
        self._connection.close()

    def reset(self) -> None:
        """Ends the connection at once."""
        self._connection.abort()


Handler = Callable[[Exchange], Awaitable[None]]


def _head(status: int, headers: Mapping[str, str], framing: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}", framing]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that holds the port, on which nothing listens yet.

    Raises:
        OSError: The port is taken, or the address is none of ours.
        OverflowError: There is no such port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError):
        bound.close()
        raise
    return bound


class HttpServer:
    """Listens on one port and calls the handler once a request.

    A handler's task is cancelled when its client goes away; a request of a client that is gone
    must not take a slot.
    """

    def __init__(self, handler: Handler, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self.handler = handler
        self.keep_alive_s = keep_alive_s
        self.is_stopping = False
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Starts to listen on a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(self, loop), sock=bound, backlog=1024
        )

    async def stop(self) -> None:
        """Refuses new connections, and returns when the requests in flight are answered."""
        self.is_stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        tasks = [c.task for c in self.connections if c.task is not None]
        if tasks:
            await asyncio.wait(tasks)


class Connection(asyncio.Protocol):
    """One client connection: reads requests, runs their handler one at a time."""

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self._loop = loop
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._last_used_s = loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)
        self._watch_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio; ends the handler of a client that is gone."""
        self._transport = None
        self._server.connections.discard(self)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer += data
        self._last_used_s = self._loop.time()
        if self.task is None:
            self._next_request()

    def write(self, data: bytes) -> None:
        """Writes bytes, unless the client is gone."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Closes after the bytes written so far."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once, with a reset that the client notices."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def close_if_idle(self) -> None:
        """Closes unless a request is being answered."""
        if self.task is None:
            self.close()

    def _next_request(self) -> None:
        try:
            request = _parse(self._buffer, self.write)
        except BadRequestError:
            self.write(_head(400, {"connection": "close"}, "content-length: 0"))
            self.close()
            return
        if request is not None:
            self.task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: HttpRequest) -> None:
        exchange = Exchange(self, request)
        try:
            await self._server.handler(exchange)
        except asyncio.CancelledError:
            # Only connection_lost cancels: nobody is left to answer.
            return
        except Exception:  # noqa: BLE001 - the one boundary of the server: a defect is a 500
            _log.exception("%s %s failed", request.method, request.path)
            if exchange.is_streaming:
                self.close()
            else:
                exchange.respond(
                    HttpResponse(status=500, body=b"Internal Server Error", headers=TEXT_HEADERS)
                )
        self._finish(request)

    def _finish(self, request: HttpRequest) -> None:
        self.task = None
        self._last_used_s = self._loop.time()
        wants_close = request.headers.get("connection", "").lower() == "close"
        if wants_close or self._server.is_stopping:
            self.close()
        elif self._buffer and self._transport is not None:
            self._next_request()

    def _watch_idle(self) -> None:
        idle_s = self._loop.time() - self._last_used_s
        left_s = self._server.keep_alive_s - idle_s
        if self.task is None and left_s <= 0:
            self.close()
            return
        # Asking the clock when the timer fires is cheaper than a new timer for each request.
        again_s = left_s if left_s > 0 else self._server.keep_alive_s
        self._idle_timer = self._loop.call_later(max(again_s, 0.01), self._watch_idle)


def _parse(buffer: bytearray, write: Callable[[bytes], None]) -> HttpRequest | None:
    """Takes the next request out of the buffer; None while it is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEADER_BYTES:
            raise BadRequestError
        return None
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    start = lines[0].split(" ")
    if len(start) != 3 or not start[2].startswith("HTTP/1."):
        raise BadRequestError
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    taken = _body(buffer, end + 4, headers)
    if taken is None:
        if headers.get("expect", "").lower() == "100-continue" and len(buffer) == end + 4:
            write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    body, used = taken
    del buffer[:used]
    path = start[1].partition("?")[0]
    return HttpRequest(method=start[0], path=path, headers=headers, body=body)


def _body(buffer: bytearray, start: int, headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    """Returns the body and where it ends in the buffer; None while it is incomplete."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked_body(buffer, start)
    try:
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise BadRequestError from error
    if length < 0:
        raise BadRequestError
    if len(buffer) < start + length:
        return None
    return bytes(buffer[start : start + length]), start + length


def _chunked_body(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    body = bytearray()
    at = start
    while True:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        try:
            size = int(bytes(buffer[at:line_end]).split(b";")[0], 16)
        except ValueError as error:
            raise BadRequestError from error
        at = line_end + 2
        if len(buffer) < at + size + 2:
            return None
        body += buffer[at : at + size]
        at += size + 2
        if size == 0:
            return bytes(body), at
