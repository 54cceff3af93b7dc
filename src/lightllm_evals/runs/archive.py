"""The completions that a run has on disk: those of earlier runs, and its own as they come."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from lightllm_evals.fingerprint import request_key
from lightllm_evals.records import Completion, Request
from lightllm_evals.runs.store import CompletionStore


class Archive:
    """Finds what need not be asked again and keeps what is new; safe to call from any thread.

    Args:
        server: Hash of what makes the servers give the same completions.
        store: Where completions are kept.
        earlier: Completions of earlier runs by key.
    """

    def __init__(
        self, server: str, store: CompletionStore, earlier: Mapping[str, Completion]
    ) -> None:
        self._server = server
        self._store = store
        self._earlier = earlier
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        self._found: set[str] = set()

    @property
    def num_found(self) -> int:
        """How many requests of this run were answered from an earlier one."""
        with self._lock:
            return len(self._found)

    @property
    def failure(self) -> str | None:
        """Why completions are not kept any more, None while they are."""
        return self._store.failure

    def find(self, request: Request) -> Completion | None:
        """Returns the completion of a request from an earlier run; None if there is none."""
        key = request_key(self._server, request)
        found = self._earlier.get(key)
        with self._lock:
            self._keys[request.id] = key
            if found is not None:
                self._found.add(request.id)
        if found is not None:
            self._store.add(key, found)
        return found

    def keep(self, request_id: str, completion: Completion) -> None:
        """Stores the completion of a request that ``find`` was asked for."""
        with self._lock:
            key = self._keys.get(request_id)
        if key is not None:
            self._store.add(key, completion)

    def close(self) -> None:
        """Stores nothing more; safe to call twice."""
        self._store.close()
