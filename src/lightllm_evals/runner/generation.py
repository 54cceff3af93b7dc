"""The engine: performs what the schedule decides, with a thread for each request in flight.

Threads over the blocking client, by measurement (``benchmarks/engine.py``, 2 cores, 64 at once):
with answers of 0.5 s threads and an aiohttp loop end within a few percent of each other, and the
engine adds nothing that can be measured to bare threads over the same client. A server that
answers at once shows the price: about 0.9 ms of CPU a request against 0.24 ms for bare aiohttp.
No model is that fast; and one blocking client serves evals, probes and a user's own code alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice

from lightllm_evals.errors import (
    HarnessError,
    RequestCancelledError,
    RequestTimeoutError,
    ServerDiedError,
    ServerUnreachableError,
)
from lightllm_evals.records import Completion, Request
from lightllm_evals.runner.crew import Alarm, Crew
from lightllm_evals.runner.progress import InFlight, Progress
from lightllm_evals.runner.transport import Outcome, Transport, accepts_connections
from lightllm_evals.schedule import Action, Break, Check, Deliver, Failure, Schedule, Send

# Small enough to send the first request soon, large enough not to fight over the lock.
PLAN_CHUNK = 256
JOIN_TIMEOUT_S = 5.0
# A thread may open its connection just after all were closed.
CANCEL_AGAIN_S = 0.2

_NOTHING = HarnessError("no outcome")


class Generation:
    """Makes every request of a run, each once, and hands every outcome on.

    All methods may be called from any thread, also from ``on_result``.

    Args:
        transports: One client a replica; at least one.
        concurrency: Requests in flight at most, over all replicas.
        on_result: Called once for every planned id that is not forgotten, from threads of the
            engine or the one that calls ``stop``, with no lock held. It should be quick: the
            slot's next request waits for it.
        window: In flight and completed but not released, at most; what cases wait for goes
            beyond it. None is four times the concurrency and at least 256.
        in_order: Send in the order of planning, because the cases run in that order.
        expected_tokens: Output tokens by request id from an earlier run: the longest go first.
        replica_limit: In flight at one replica at most (its ``running_max_req_size``).
        clock: Monotonic seconds.
        is_reachable: Whether a URL accepts connections; asked before a replica that failed gets
            another request.
        first_pause_s: For how long a replica that failed is put aside first; each further
            failure doubles it, and after three in a row it counts as gone.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        concurrency: int,
        on_result: Callable[[str, Outcome], None],
        window: int | None = None,
        in_order: bool = False,
        expected_tokens: Mapping[str, int] | None = None,
        replica_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_reachable: Callable[[str], bool] = accepts_connections,
        first_pause_s: float = 0.5,
    ) -> None:
        self._transports = list(transports)
        self._on_result = on_result
        self._clock = clock
        self._is_reachable = is_reachable
        self._plan_chunk = None if expected_tokens is not None else PLAN_CHUNK
        self._schedule = Schedule(
            concurrency=concurrency,
            num_replicas=len(self._transports),
            window=max(4 * concurrency, 256) if window is None else window,
            in_order=in_order,
            expected_tokens=expected_tokens,
            replica_limit=replica_limit,
            first_pause_s=first_pause_s,
        )
        self._lock = threading.Lock()
        self._crew: Crew[Send | Check] = Crew(self._perform, name="lightllm-generation")
        self._alarm = Alarm(self._tick, clock=clock, name="lightllm-generation-alarm")
        self._in_flight: dict[int, tuple[str, float]] = {}
        self._output_tokens = 0
        self._scored_tokens = 0
        self._first_sent_at: float | None = None
        self._last_back_at: float | None = None
        self._last_completed_at: float | None = None
        self._last_failure: HarnessError | None = None
        self._cause: Callable[[str], HarnessError] | None = None
        for index, transport in enumerate(self._transports):
            transport.on_busy = partial(self._refused, index)

    def __repr__(self) -> str:
        with self._lock:
            return f"Generation({self._schedule!r})"

    def plan(self, requests: Iterable[Request]) -> None:
        """Takes requests in and starts to send them; ids that are known already are ignored."""
        rest = iter(requests)
        while chunk := list(islice(rest, self._plan_chunk)):
            self._handle(partial(self._schedule.plan, chunk))

    def want(self, request_id: str, request: Request | None = None) -> None:
        """Sends a request before all others: a case waits for it.

        Args:
            request_id: Which one; if it is not planned yet, it goes first once it is.
            request: Planned now, if the id is not known.
        """
        self._handle(partial(self._schedule.want, request_id))
        if request is not None:
            self.plan([request])

    def release(self, request_id: str) -> None:
        """Frees the place of a completion in the window: its case is scored."""
        self._handle(partial(self._schedule.release, request_id))

    def forget(self, ids: Iterable[str]) -> None:
        """Drops requests that nobody will ask for; they get no outcome and may be planned anew."""
        self._handle(partial(self._schedule.forget, list(ids)))

    def progress(self) -> Progress:
        """Returns how far the run is."""
        with self._lock:
            now = self._clock()
            counts = self._schedule.counts
            since = (
                self._first_sent_at if self._last_completed_at is None else self._last_completed_at
            )
            elapsed_s = self._elapsed_s(now)
            num_tokens = self._output_tokens + self._scored_tokens
            return Progress(
                planned=counts.planned,
                in_flight=len(self._in_flight),
                done=counts.done,
                failed=counts.failed,
                waiting_to_be_scored=counts.waiting_to_be_scored,
                output_tokens=self._output_tokens,
                scored_tokens=self._scored_tokens,
                elapsed_s=elapsed_s,
                tokens_per_s=num_tokens / elapsed_s if elapsed_s > 0 else 0.0,
                since_last_completion_s=now - since
                if since is not None and self._in_flight
                else 0.0,
                in_flight_ids=tuple(
                    InFlight(request_id, now - at) for request_id, at in self._in_flight.values()
                ),
            )

    def stop(self, reason: str) -> None:
        """Ends everything now: closes the connections, so that servers drop their requests.

        Whatever has no outcome yet gets a RequestCancelledError. Waits for the threads, but not
        for ever; may be called again, and from ``on_result``.
        """
        self._crew.close()
        self._alarm.close()
        with self._lock:
            self._cause = self._cause or partial(_cancelled, reason)
            actions = self._schedule.stop()
        self._cancel_all()
        self._carry_out(actions, _NOTHING)
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        while not self._crew.join(CANCEL_AGAIN_S) and time.monotonic() < deadline:
            self._cancel_all()
        self._alarm.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._in_flight.clear()

    def _handle(self, event: Callable[[float], list[Action]], outcome: Outcome = _NOTHING) -> None:
        job = self._next_job(event, outcome)
        if job is not None:
            self._crew.submit(job)

    def _perform(self, job: Send | Check) -> Send | Check | None:
        # The thread goes on with the request that takes the place of the one that is back.
        if isinstance(job, Check):
            return self._check(job.replica)
        outcome = self._ask(job)
        return self._next_job(partial(self._back, job, outcome), outcome)

    def _check(self, replica: int) -> Send | Check | None:
        is_reachable = self._is_reachable(self._transports[replica].url)
        return self._next_job(
            lambda now: self._schedule.checked(replica, is_reachable=is_reachable, now=now),
            _NOTHING,
        )

    def _ask(self, send: Send) -> Outcome:
        if self._cause is not None:
            return self._cause(send.request.id)
        try:
            return self._transports[send.replica].complete(send.request)
        except HarnessError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the thread's boundary: no id may get lost
            broken = HarnessError(f"the client failed: {type(error).__name__}: {error}")
            broken.__cause__ = error
            return broken

    def _back(self, send: Send, outcome: Outcome, now: float) -> list[Action]:
        self._in_flight.pop(send.ticket, None)
        self._last_back_at = now
        if isinstance(outcome, Completion):
            self._last_completed_at = now
            self._output_tokens += outcome.output_tokens
            self._scored_tokens += sum(each.num_tokens for each in outcome.likelihoods)
            return self._schedule.completed(send.ticket, now)
        if self._cause is None:
            self._last_failure = outcome
        return self._schedule.failed(send.ticket, _failure(outcome), now)

    def _next_job(
        self, event: Callable[[float], list[Action]], outcome: Outcome
    ) -> Send | Check | None:
        with self._lock:
            now = self._clock()
            actions = event(now)
            is_breaking = self._note(actions, now)
            next_tick = self._schedule.next_tick
        self._alarm.set(next_tick)
        if is_breaking:
            self._cancel_all()
        return self._carry_out(actions, outcome)

    def _note(self, actions: list[Action], now: float) -> bool:
        is_breaking = False
        for action in actions:
            if isinstance(action, Send):
                self._in_flight[action.ticket] = (action.request.id, now)
                if self._first_sent_at is None:
                    self._first_sent_at = now
            elif isinstance(action, Break) and self._cause is None:
                self._cause = partial(_died, self._obituary())
                is_breaking = True
        return is_breaking

    def _carry_out(self, actions: list[Action], outcome: Outcome) -> Send | Check | None:
        jobs = [action for action in actions if isinstance(action, (Send, Check))]
        job = jobs.pop(0) if jobs else None
        for other in jobs:
            self._crew.submit(other)
        try:
            self._deliver(actions, outcome)
        except BaseException:
            # A callback that fails ends its thread, which is seen, but takes no request along.
            if job is not None:
                self._crew.submit(job)
            raise
        return job

    def _deliver(self, actions: list[Action], outcome: Outcome) -> None:
        for action in actions:
            if isinstance(action, Deliver):
                self._on_result(action.request_id, outcome)
            elif isinstance(action, Break) and self._cause is not None:
                with ExitStack() as every:
                    # All of them, even where one callback fails.
                    for request_id in action.request_ids:
                        every.callback(self._on_result, request_id, self._cause(request_id))

    def _cancel_all(self) -> None:
        for transport in self._transports:
            transport.cancel_all()

    def _tick(self) -> None:
        self._handle(self._schedule.tick)

    def _refused(self, replica: int) -> None:
        with self._lock:
            self._schedule.refused(replica)

    def _elapsed_s(self, now: float) -> float:
        if self._first_sent_at is None:
            return 0.0
        end = now if self._in_flight or self._last_back_at is None else self._last_back_at
        return end - self._first_sent_at

    def _obituary(self) -> str:
        urls = ", ".join(transport.url for transport in self._transports)
        who = f"The server at {urls}" if len(self._transports) == 1 else f"All servers ({urls})"
        return (
            f"{who} stopped answering after {self._schedule.counts.done} completions: "
            f"{self._last_failure}. See whether it still runs and what its log says; "
            "then run the rest again with --lf."
        )


def _cancelled(reason: str, request_id: str) -> RequestCancelledError:
    return RequestCancelledError(f"cancelled before it was complete: {reason}", request_id)


def _died(message: str, request_id: str) -> ServerDiedError:
    # The same sentence for all, so that a summary can say it once.
    return ServerDiedError(message)


def _failure(error: HarnessError) -> Failure:
    if isinstance(error, ServerUnreachableError):
        return "unreachable"
    return "timeout" if isinstance(error, RequestTimeoutError) else "other"
