"""A run that is being opened in the background, while tests are still being collected."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lightllm_evals.errors import HarnessError

if TYPE_CHECKING:
    # It brings requests and psutil along, which a run without evals must not pay for.
    from lightllm_evals.run import Run


class Opening:
    """Opens a run once, however many workers ask for it.

    Args:
        open_run: Connects or starts the servers; takes as long as it takes.
        on_opened: Called on the opening thread with the run or the error.
    """

    def __init__(
        self,
        open_run: Callable[[], Run],
        on_opened: Callable[[Run | HarnessError], None] = lambda opened: None,
    ) -> None:
        self._open_run = open_run
        self._on_opened = on_opened
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._thread: threading.Thread | None = None
        self._result: Run | HarnessError | None = None
        self._unexpected: BaseException | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anyone has asked for the run."""
        return self._thread is not None

    @property
    def run(self) -> Run | None:
        """The run, None while it is not open."""
        return None if isinstance(self._result, HarnessError) else self._result

    def begin(self) -> None:
        """Starts to open the run; later calls do nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lightllm-opening")
                self._thread.daemon = True
                self._thread.start()

    def abandon(self) -> None:
        """Has a run that is still being opened closed as soon as it is open."""
        with self._lock:
            self._is_abandoned = True

    def wait(self) -> Run:
        """Returns the run as soon as it is open.

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
            self._result = self._open_run()
        except HarnessError as error:
            self._result = error
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, which raises it
            self._unexpected = error
            self._result = HarnessError(f"{type(error).__name__}: {error}")
        with self._lock:
            is_abandoned = self._is_abandoned
        if is_abandoned and self.run is not None:
            self.run.close()
        self._on_opened(self._result)
