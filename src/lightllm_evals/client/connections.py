"""Kept-alive connections that tell their socket, so that a deadline can end them."""

from __future__ import annotations

import threading
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from lightllm_evals.client.deadline import Flight, Line

# LightLLM closes a connection that is idle for 10 s; one that may be closed this very moment
# is not worth a failed attempt.
MAX_IDLE_S = 5.0


class _Current(threading.local):
    """Which request the thread is busy with, for the connection that serves it."""

    flight: Flight | None = None


current = _Current()


class _Watched:
    """Mixin of a connection: tells the flight its socket, and counts as dropped when idle."""

    sock: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line = Line()

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of the connection that it is mixed into
        self._report()

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._report()
        super().request(*args, **kwargs)  # type: ignore[misc]  # as above

    @property
    def is_connected(self) -> bool:
        idle_since = self._line.idle_since
        if idle_since is not None and time.monotonic() - idle_since > MAX_IDLE_S:
            return False
        is_alive: bool = super().is_connected  # type: ignore[misc]  # as above
        return is_alive

    def _report(self) -> None:
        if self.sock is not None and current.flight is not None:
            current.flight.use(self._line, self.sock)


class _Connection(_Watched, HTTPConnection):
    pass


class _TlsConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class WatchedAdapter(HTTPAdapter):
    """The adapter of ``requests`` with connections that a deadline can end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Sets up the pool of direct connections; called by the adapter's own __init__."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the pool of connections by way of a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Closes all idle connections, and each other one as it comes back.

        urllib3 leaves them open for as long as anything refers to their pool, and every error
        of a request does.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # it is no mapping to iterate over
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
