"""What the runner needs of a client, and a quick look whether a server is there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from lightllm_evals.errors import HarnessError
from lightllm_evals.records import Completion, Request

CONNECT_TIMEOUT_S = 2.0

Outcome = Completion | HarnessError


class Transport(Protocol):
    """One replica, as the runner sees it; its methods are called from many threads.

    Attributes:
        url: Base URL of the server, for messages.
        on_busy: The runner sets it; to be called at each 429 or 503, also those that are retried.
    """

    url: str
    on_busy: Callable[[], None] | None

    def complete(self, request: Request) -> Completion:
        """Returns the completion of a request, after bounded retries.

        Raises:
            RequestError: There is none.
        """

    def cancel_all(self) -> None:
        """Closes all connections, so that whatever is in ``complete`` raises at once."""


def accepts_connections(url: str) -> bool:
    """Returns whether something listens at a URL; True where only a proxy could tell."""
    parts = urlsplit(url)
    if get_environ_proxies(url):
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
