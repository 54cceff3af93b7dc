"""One run, in the process that owns it: without xdist the only one, else the controller.

It asks for all completions, whichever process will judge them, and writes down every case
that is finished. Generation is in one place so that the number of requests in flight, the
order, retries and the moment to give up do not depend on the number of workers.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lightllm_evals.errors import HarnessError, RequestCancelledError, ServerError
from lightllm_evals.excerpt import cause
from lightllm_evals.records import Completion, Request
from lightllm_evals.results import CaseResult, CaseVerdict, PlannedCase
from lightllm_evals.runner import Generation, Progress
from lightllm_evals.runs.archive import Archive
from lightllm_evals.runs.directory import RunDirectory
from lightllm_evals.runs.lengths import Lengths
from lightllm_evals.runs.mailbox import Mailbox, Outcome
from lightllm_evals.runs.scores import Finished
from lightllm_evals.runs.serving import Serving
from lightllm_evals.runs.summary import BenchmarkSummary, outcome_of, summarize
from lightllm_evals.runs.summary import Outcome as Figures
from lightllm_evals.stats import mcnemar

_WATCH_S = 1.0


class Run:
    """Plans, requests, hands out and records; safe to call from any thread.

    Args:
        serving: The servers to ask.
        directory: Where results are written.
        identity: What makes this run comparable with another; goes to ``run.json``.
        in_order: Ask in the planned order; needed where cases run in that order.
        archive: Completions on disk; what is found there is not asked for.
        is_repeated: Every worker runs every case (``--dist each``), so outcomes are kept.
        lengths: How long completions were before; the longest go first.

    Attributes:
        is_plan_whole: Every case that will run has been planned; until then no figure is final.
        is_compared: There is a baseline for it.
        on_outcome: Called with a request id, from an engine thread, when its outcome is here.
    """

    def __init__(
        self,
        serving: Serving,
        directory: RunDirectory,
        *,
        identity: Mapping[str, Any],
        in_order: bool,
        archive: Archive,
        is_repeated: bool = False,
        lengths: Lengths | None = None,
    ) -> None:
        self.serving = serving
        self.archive = archive
        self.directory = directory
        self.identity = identity
        self.on_outcome: Callable[[str], None] = lambda request_id: None
        self.is_plan_whole = False
        self.is_compared = False
        self._is_stopped = False
        self._is_repeated = is_repeated
        self._lengths = lengths
        self._mailbox = Mailbox()
        self._lock = threading.Lock()
        self._planned: dict[str, PlannedCase] = {}
        self._figures: dict[str, Figures] = {}
        self._early: dict[str, CaseVerdict] = {}
        self._causes: Counter[str] = Counter()
        self._sentences: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._ended = threading.Event()
        self._started_s = time.monotonic()
        self._generation = Generation(
            serving.clients,
            concurrency=serving.concurrency,
            on_result=self._deliver,
            in_order=in_order,
            replica_limit=serving.replica_limit,
            expected_tokens=lengths.by_case if lengths else None,
        )
        directory.begin(identity)
        self._watch = threading.Thread(target=self._watch_servers, name="lightllm-watch")
        self._watch.daemon = True
        self._watch.start()

    def plan(self, cases: Iterable[PlannedCase]) -> None:
        """Adds cases; their completions are asked for from now on."""
        new = []
        early = []
        with self._lock:
            for case in cases:
                if case.nodeid not in self._planned:
                    self._planned[case.nodeid] = case
                    if self._lengths:
                        self._lengths.note(case)
                    new.append(case.request)
                    if case.nodeid in self._early:
                        early.append((case.nodeid, self._early.pop(case.nodeid)))
        self._generation.plan(request for request in new if not self._is_stored(request))
        for nodeid, verdict in early:
            self.record(nodeid, verdict)

    def has_planned(self, nodeid: str) -> bool:
        """Whether a case is part of this run."""
        with self._lock:
            return nodeid in self._planned

    def want(self, request: Request) -> None:
        """Puts a request in front of all others: a case is waiting for it."""
        with self._lock:
            is_recorded = request.id in self._figures
        if is_recorded and self._mailbox.get(request.id) is None:
            # Another plugin runs cases again; nothing would ever answer the second time.
            self._hand_out(
                request.id,
                HarnessError(f"{request.id} is recorded already; a case is scored once in a run."),
            )
        elif not self._is_stored(request):
            self._generation.want(request.id, request)

    def _is_stored(self, request: Request) -> bool:
        found = self.archive.find(request)
        if found is None:
            return False
        with self._lock:
            is_done = request.id in self._figures
        # A worker can want it before the plan with it is here; then it is handed out already.
        if not is_done and self._mailbox.get(request.id) is None:
            self._hand_out(request.id, found)
        return True

    def outcome(self, nodeid: str) -> Outcome | None:
        """Returns what came of a case's request, None while it is under way."""
        return self._mailbox.get(nodeid)

    def completion(self, request: Request) -> Completion:
        """Returns the completion of a request, however long it takes.

        Raises:
            HarnessError: There is none to be had.
        """
        return self._mailbox.wait(request.id, lambda: self.want(request))

    def record(self, nodeid: str, verdict: CaseVerdict) -> None:
        """Writes down a finished case; a case that is reported twice counts once."""
        with self._lock:
            case = self._planned.get(nodeid)
            if case is None:
                # A stored completion can be judged before the plan with its case is here.
                self._early[nodeid] = verdict
                return
            if nodeid in self._figures:
                return
            outcome = self._mailbox.get(nodeid)
            if not self._is_repeated:
                self._mailbox.discard(nodeid)
            completion = outcome if isinstance(outcome, Completion) else None
            result = CaseResult(case=case, verdict=verdict, completion=completion)
            self._figures[nodeid] = outcome_of(result)
            self._counts[verdict.outcome] += 1
            if verdict.outcome == "error":
                first = self._sentences.setdefault(cause(verdict.detail), verdict.detail)
                self._causes[first] += 1
            self.directory.append(result)
        self._generation.release(nodeid)

    def summaries(self) -> list[BenchmarkSummary]:
        """Returns the figures so far, one summary a benchmark."""
        with self._lock:
            planned, figures = list(self._planned.values()), list(self._figures.values())
        return summarize(planned, figures)

    def finished(self) -> list[Finished]:
        """Returns every planned case with what came of it so far."""
        with self._lock:
            return [
                Finished(case, self._figures.get(nodeid)) for nodeid, case in self._planned.items()
            ]

    @property
    def output_tokens(self) -> dict[str, int]:
        """Tokens of the completion of every finished case that has one, by node id."""
        with self._lock:
            return {
                nodeid: figures.output_tokens
                for nodeid, figures in self._figures.items()
                if figures.output_tokens
            }

    @property
    def counts(self) -> Counter[str]:
        """Finished cases by outcome."""
        with self._lock:
            return Counter(self._counts)

    @property
    def causes(self) -> Counter[str]:
        """How many cases each error's sentence stands for: the first of those with one cause."""
        with self._lock:
            return Counter(self._causes)

    @property
    def unfinished(self) -> list[str]:
        """Node ids of planned cases that no report has come for."""
        with self._lock:
            return [nodeid for nodeid in self._planned if nodeid not in self._figures]

    def progress(self) -> Progress:
        """Returns how far generation is; stored completions count as done."""
        progress, stored = self._generation.progress(), self.archive.num_found
        return replace(progress, planned=progress.planned + stored, done=progress.done + stored)

    @property
    def wall_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started_s

    def _watch_servers(self) -> None:
        is_prepared = False
        # A server of ours that died may leave requests hanging instead of breaking them.
        while not self._ended.wait(_WATCH_S):
            try:
                self.serving.poll()
            except ServerError as error:
                self._mailbox.close(error)
                self._generation.stop(str(error))
                return
            if not is_prepared and 4 * len(self._figures) > len(self._planned):
                is_prepared = True
                self._import_ahead()

    def _import_ahead(self) -> None:
        """Imports what figures and comparisons need, which takes up to a second.

        That is better spent while everybody waits for servers than when all is over.
        """
        self.summaries()
        if self.is_compared:
            mcnemar(1, 0)

    def stop(self, reason: str) -> None:
        """Cancels what is in flight, once; safe to call again."""
        with self._lock:
            is_stopped, self._is_stopped = self._is_stopped, True
        if not is_stopped:
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        """Cancels what is in flight, so that the server drops it; waiting cases get an error."""
        self._mailbox.close(RequestCancelledError(reason))
        self._generation.stop(reason)

    def close(self) -> None:
        """Ends generation, servers and files, in this order; safe to call twice."""
        self.stop("the run has ended")
        self._ended.set()
        self._watch.join()
        self.serving.close()
        self.directory.close()
        self.archive.close()

    def _deliver(self, request_id: str, outcome: Completion | HarnessError) -> None:
        if isinstance(outcome, Completion):
            # First of all: what is stored is never asked for again, whatever happens next.
            self.archive.keep(request_id, outcome)
        self._hand_out(request_id, outcome)

    def _hand_out(self, request_id: str, outcome: Completion | HarnessError) -> None:
        self._mailbox.put(request_id, outcome)
        self.on_outcome(request_id)
