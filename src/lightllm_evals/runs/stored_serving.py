"""Servers that are not there: a run over stored completions only."""

from __future__ import annotations

from collections.abc import Callable

from lightllm_evals.errors import HarnessError
from lightllm_evals.records import Completion, Request, ServerInfo, from_json
from lightllm_evals.runs.past_run import PastRun
from lightllm_evals.runs.serving import Serving


class NoServer:
    """Answers nothing: whatever reaches it is not stored.

    Attributes:
        url: "", since there is none.
        on_busy: Never called.
    """

    url = ""

    def __init__(self, run: PastRun) -> None:
        self.on_busy: Callable[[], None] | None = None
        self._run = run

    def complete(self, request: Request) -> Completion:
        """Says that a completion is not stored.

        Raises:
            HarnessError: Always.
        """
        del request
        # The same sentence for all, so that a summary can say it once.
        raise HarnessError(
            f"The run {self._run.path.name} has no completion for this prompt and these "
            f"parameters; ask for it with --lightllm-resume={self._run.path.name}."
        )

    def check_scoring(self) -> None:
        """Does nothing: what is stored was scored when it was asked."""

    def cancel_all(self) -> None:
        """Does nothing: nothing is in flight."""

    def close(self) -> None:
        """Does nothing: nothing is open."""


def stored_serving(run: PastRun) -> Serving:
    """Returns the servers of an earlier run as they were, without asking them anything."""
    return Serving(
        kind="stored",
        clients=(NoServer(run),),
        infos=tuple(from_json(ServerInfo, info) for info in run.identity["servers"]),
        processes=(),
        concurrency=int(run.identity["concurrency"]),
        warnings=(),
    )
