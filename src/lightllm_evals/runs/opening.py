"""A run, or its servers, opened in the background while tests are still being collected."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from lightllm_evals.errors import HarnessError


class Closable(Protocol):
    """What can be opened: a run, or its servers."""

    def close(self) -> None:
        """Gives up all that it holds; safe to call twice."""


T = TypeVar("T", bound=Closable)


class Opening(Generic[T]):
    """Opens a thing once, however many ask for it.

    Args:
        open_it: Connects to servers or starts them; takes as long as it takes.
        on_opened: Called on the opening thread with the thing or the error.
    """

    def __init__(
        self,
        open_it: Callable[[], T],
        on_opened: Callable[[T | HarnessError], None] = lambda opened: None,
    ) -> None:
        self._open_it = open_it
        self._on_opened = on_opened
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._thread: threading.Thread | None = None
        self._result: T | HarnessError | None = None
        self._unexpected: BaseException | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anyone has asked for it."""
        return self._thread is not None

    @property
    def opened(self) -> T | None:
        """The thing, None while it is not open."""
        return None if isinstance(self._result, HarnessError) else self._result

    def begin(self) -> None:
        """Starts to open it; later calls do nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lightllm-opening")
                self._thread.daemon = True
                self._thread.start()

    def abandon(self) -> None:
        """Has it closed, as soon as it is open if it is not yet."""
        with self._lock:
            self._is_abandoned = True
            opened = self.opened
        if opened is not None:
            opened.close()

    def wait(self) -> T:
        """Returns the thing as soon as it is open.

        Raises:
            HarnessError: It could not be opened.
        """
        self.begin()
        assert self._thread is not None
        self._thread.join()
        if self._unexpected is not None:
            raise self._unexpected
        if isinstance(self._result, HarnessError):
            raise self._result
        assert self._result is not None
        return self._result

    def _work(self) -> None:
        try:
            result: T | HarnessError = self._open_it()
        except HarnessError as error:
            result = error
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, which raises it
            self._unexpected = error
            result = HarnessError(f"{type(error).__name__}: {error}")
        with self._lock:
            self._result = result
            is_abandoned = self._is_abandoned
        if is_abandoned and not isinstance(result, HarnessError):
            result.close()
        self._on_opened(result)
