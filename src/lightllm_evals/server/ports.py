"""Free TCP ports for servers that are about to start."""

from __future__ import annotations

import errno
import random
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

from lightllm_evals.errors import ServerError

# Below the range from which Linux and macOS take ports of outgoing connections, which could
# snatch a port in the minutes that a model loads; above those that LightLLM takes by itself.
FIRST_PORT = 20_002
LAST_PORT = 32_767

_given: set[int] = set()
_lock = threading.Lock()


def is_port_free(port: int) -> bool:
    """Returns whether nobody listens on the port, on any interface.

    Connections of an earlier server that are in TIME_WAIT do not count.
    """
    return _can_bind(port, should_reuse=True) or _is_refused(port)


def pick_ports(count: int, *, avoid: Iterable[int] = ()) -> list[int]:
    """Returns free ports that this process did not hand out before.

    A port is never given twice: LightLLM of 2026 refuses, for a minute, a port that has been
    served on. Ports are chosen at random, so that two harnesses on one host seldom collide.

    Raises:
        ServerError: There are not enough free ports.
    """
    with _lock:
        candidates = list(set(range(FIRST_PORT, LAST_PORT + 1)) - _given - set(avoid))
        # Any order will do; nothing secret hangs on it, and a run's seed must not fix it.
        random.SystemRandom().shuffle(candidates)
        picked: list[int] = []
        for port in candidates:
            if len(picked) == count:
                break
            if _can_bind(port, should_reuse=False):
                picked.append(port)
        if len(picked) < count:
            raise ServerError(
                f"Found {len(picked)} free ports between {FIRST_PORT} and {LAST_PORT} and need "
                f"{count}. End servers on this host, or use --lightllm-url."
            )
        _given.update(picked)
        return picked


def _can_bind(port: int, *, should_reuse: bool) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if should_reuse:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            # LightLLM binds nccl_port on all interfaces, so all of them must be free.
            probe.bind(("", port))
            return True
    return False


def _is_refused(port: int) -> bool:
    # Linux refuses to bind over TIME_WAIT if the earlier server did not ask for reuse.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
