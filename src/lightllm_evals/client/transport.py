"""HTTP with keep-alive, hard deadlines and foreign errors translated.

The connections are those of ``requests``, by its transport adapter: a session on top would add
cookies, redirects and a look at the environment to every call, none of which LightLLM needs.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import NoReturn
from urllib.parse import quote

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from lightllm_evals.client.address import proxies_for
from lightllm_evals.client.connections import WatchedAdapter, current
from lightllm_evals.client.deadline import Flight, Watchdog
from lightllm_evals.client.failures import TransientError, transient
from lightllm_evals.errors import (
    BadResponseError,
    RequestCancelledError,
    RequestError,
    RequestTimeoutError,
    ServerUnreachableError,
)

# A host that does not answer a connection attempt by then is down; the deadline of a request
# is for generating.
_CONNECT_TIMEOUT_S = 10.0

# The socket's own timeout is only there in case the watchdog is late.
_BACKSTOP_S = 5.0

_POOL_SIZE = 1024
_CHUNK_BYTES = 1024

_HEADERS = {
    "User-Agent": f"lightllm-evals/{version('lightllm-evals')}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        headers: Header fields; names in any case.
        body: The whole body; empty where it was handed on in chunks.
        ended_at: When its last byte was there, by the transport's clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    ended_at: float

    @property
    def content_type(self) -> str:
        """The Content-Type, "" without one, as in LightLLM's own answers."""
        return self.headers.get("Content-Type", "")


class Transport:
    """Connections to one server; thread-safe.

    Attributes:
        url: Its base URL.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._watchdog = Watchdog()
        self._adapter = WatchedAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE)
        # Once for all calls: the environment does not change, and a look at it is slow.
        self._proxies = proxies_for(url)
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or True

    def exchange(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        body: bytes | None = None,
        request_id: str = "",
        on_chunk: Callable[[bytes], None] | None = None,
    ) -> Reply:
        """Returns the answer to one HTTP request, whatever its status.

        Args:
            method: GET or POST.
            path: Path on the server, from the slash.
            timeout_s: Hard deadline, from the connection to the last byte.
            body: JSON to send.
            request_id: Sent along for the server's log.
            on_chunk: Takes the chunks of a good event stream as they come.

        Raises:
            RequestTimeoutError: The deadline passed.
            RequestCancelledError: ``cancel_all`` ended it.
            BadResponseError: There is no TLS where there should be.
            TransientError: No connection, or a broken one.
        """
        request = self._request(method, path, body, request_id)
        with self._watchdog.flight(timeout_s) as flight:
            if flight.state == "cancelled":
                raise _cancelled()
            current.flight = flight
            try:
                reply = self._round_trip(request, timeout_s, on_chunk)
            except _FOREIGN as error:
                if flight.land() == "done":
                    _raise_translated(error)
                raise self._ended(flight, path, timeout_s) from error
            finally:
                current.flight = None
            # A socket that was shut can look like a complete answer without a length.
            if flight.land() != "done":
                raise self._ended(flight, path, timeout_s)
        return reply

    def cancel_all(self) -> None:
        """Ends all requests in flight at once, and every later one at its start."""
        self._watchdog.cancel_all()

    def close(self) -> None:
        """Cancels everything and closes all connections."""
        self._watchdog.close()
        self._adapter.close()

    def _request(
        self, method: str, path: str, body: bytes | None, request_id: str
    ) -> requests.PreparedRequest:
        headers = dict(_HEADERS)
        if request_id:
            # An id holds what a data set's ids hold; a header takes visible ASCII.
            headers["X-Request-Id"] = quote(request_id, safe="/:;,.+-_[](){}@=~ ")
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        # Not prepare(): it would parse the same URL and build a cookie jar for every call.
        request = requests.PreparedRequest()
        request.method = method
        request.url = self.url + path
        request.headers = CaseInsensitiveDict(headers)
        request.body = body
        return request

    def _round_trip(
        self,
        request: requests.PreparedRequest,
        timeout_s: float,
        on_chunk: Callable[[bytes], None] | None,
    ) -> Reply:
        response = self._adapter.send(
            request,
            stream=True,
            timeout=(min(_CONNECT_TIMEOUT_S, timeout_s), timeout_s + _BACKSTOP_S),
            verify=self._verify,
            proxies=self._proxies,
        )
        try:
            body = _read(response, on_chunk)
        except _FOREIGN as error:
            raise _BrokenOffError(error) from error
        finally:
            # Gives the connection back if all was read, else closes it.
            response.raw.close()
        return Reply(
            status=response.status_code,
            headers=response.headers,
            body=body,
            ended_at=self._clock(),
        )

    def _ended(self, flight: Flight, path: str, timeout_s: float) -> RequestError:
        if flight.state == "cancelled":
            return _cancelled()
        return RequestTimeoutError(f"no complete answer from {path} within {timeout_s:g} s")


class _BrokenOffError(OSError):
    """The connection broke after the status line."""


# What requests, urllib3 and the standard library raise for a connection that fails.
_FOREIGN = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


def _read(response: requests.Response, on_chunk: Callable[[bytes], None] | None) -> bytes:
    raw = response.raw
    is_stream = "event-stream" in response.headers.get("Content-Type", "")
    if on_chunk is None or response.status_code != 200 or not is_stream:
        body: bytes = raw.read(decode_content=True)
        return body
    for chunk in raw.stream(_CHUNK_BYTES, decode_content=True):
        on_chunk(chunk)
    return b""


def _cancelled() -> RequestCancelledError:
    return RequestCancelledError("the request was cancelled")


def _raise_translated(error: Exception) -> NoReturn:
    chain = list(_causes(error))
    cause = chain[-1]
    said = getattr(cause, "strerror", None) or str(cause)
    reason = " ".join(said.split()) or type(cause).__name__
    if isinstance(error, _BrokenOffError):
        raise transient(f"the answer broke off: {reason}") from error
    if isinstance(error, requests.exceptions.SSLError):
        message = f"no TLS connection: {reason}; check whether it is http:// instead"
        raise BadResponseError(message) from error
    # RemoteDisconnected is both: the server closed the connection without a word.
    if isinstance(cause, http.client.HTTPException) and not isinstance(cause, OSError):
        raise transient(f"the answer is not HTTP: {reason}") from error
    is_unconnected = any(isinstance(item, _CONNECT_ERRORS) for item in chain)
    what = "cannot connect" if is_unconnected else "the connection broke before an answer"
    raise TransientError(ServerUnreachableError(f"{what}: {reason}")) from error


_CONNECT_ERRORS = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the errors that requests and urllib3 wrap into each other, from the outermost."""
    inner: BaseException | None = error
    while inner is not None:
        yield inner
        candidates = (getattr(inner, "reason", None), *inner.args, inner.__cause__)
        inner = next((item for item in candidates if isinstance(item, BaseException)), None)
