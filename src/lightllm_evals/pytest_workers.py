"""xdist: the controller owns the run, workers ask it over a channel of their own.

xdist's ``workerinput`` is fixed before a worker starts, when nobody knows yet whether there is
an eval to run. So ``workerinput`` carries an execnet channel, which reaches workers on other
hosts too, and the channel carries everything else, as JSON text:

    worker -> controller   refused     the options make no sense for what it collected
                           collected   it has so many cases, which need this and that
                           plan        cases to request, in portions; ``last`` ends them
                           want        a case is waiting for its completion
    controller -> worker   session     the servers are ready; ``plan`` asks for the cases
                           plan        asks for them later: who was to send them is gone
                           failed      they are not
                           outcome     a completion or an error
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from lightllm_evals.cases import Needs
from lightllm_evals.errors import HarnessError
from lightllm_evals.pytest_cases import case_of, needs_of, planned_case, refusal
from lightllm_evals.pytest_fixtures import SOURCE
from lightllm_evals.pytest_options import SENT_SETTINGS, SETTINGS
from lightllm_evals.pytest_scheduling import CompletionScheduling
from lightllm_evals.records import Completion, Request, from_json, to_json
from lightllm_evals.results import CaseVerdict, decode_planned
from lightllm_evals.runs.mailbox import Mailbox, decode_outcome, encode_outcome
from lightllm_evals.runs.opening import Opening

if TYPE_CHECKING:
    from lightllm_evals.runs.run import Run
from lightllm_evals.settings import settings_data

CHANNEL = "lightllm_channel"
_PORTION = 64


class ControllerSide:
    """The controller's end of every worker's channel.

    Args:
        open_run: Opens the run; called once, on the first worker that has a case.
        note_needs: Told what the cases need, before ``open_run``.
        announce: Told, on the main thread, that the run is open.
    """

    def __init__(
        self,
        open_run: Callable[[], Run],
        note_needs: Callable[[Needs], None],
        announce: Callable[[Run], None],
    ) -> None:
        self.opening = Opening(open_run, self._opened)
        self._note_needs = note_needs
        self._announce = announce
        self._lock = threading.RLock()
        self._channels: dict[Any, Any] = {}
        self._unanswered: list[Any] = []
        self._answered: list[Any] = []
        self._planner: Any = None
        self._is_planned = False
        self._wanted: dict[str, set[Any]] = defaultdict(set)
        self._crashes: Counter[str] = Counter()
        self._refusal = ""
        self._scheduling: CompletionScheduling | None = None

    # Hooks, on the main thread.

    @pytest.hookimpl
    def pytest_configure_node(self, node: Any) -> None:
        """Gives a worker its channel."""
        channel = node.gateway.newchannel()
        node.workerinput[CHANNEL] = channel
        node.workerinput[SENT_SETTINGS] = json.dumps(settings_data(node.config.stash[SETTINGS]))
        with self._lock:
            self._channels[node] = channel
        channel.setcallback(lambda text: self._receive(node, text))

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Puts our scheduler in the place of ``load``, which is what -n means."""
        if config.getvalue("dist") != "load":
            return None
        self._scheduling = CompletionScheduling(config, log)
        return self._scheduling

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Waits for the servers, before any case runs."""
        if not self.opening.has_begun:
            return
        try:
            run = self.opening.wait()
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        self._announce(run)
        if self._scheduling is not None:
            # Until the plan is here nobody knows which tests are cases.
            self._scheduling.activate(
                lambda nodeid: (
                    run.outcome(nodeid) is not None
                    or (self._is_planned and not run.has_planned(nodeid))
                ),
                self._deliver,
            )

    @pytest.hookimpl
    def pytest_testnodedown(self, node: Any) -> None:
        """Forgets a worker; if it was sending the plan, another one sends it all again."""
        with self._lock:
            self._channels.pop(node, None)
            if node in self._answered:
                self._answered.remove(node)
            if node is self._planner:
                # Without one the next to collect is asked, such as the dead one's replacement.
                self._planner = next(iter(self._answered), None)
                if self._planner is not None and not self._is_planned:
                    self._send(self._planner, type="plan")
        if self._refusal:
            raise pytest.UsageError(self._refusal)

    @pytest.hookimpl
    def pytest_handlecrashitem(self, crashitem: str, report: Any, sched: Any) -> bool | None:
        """Runs a case again whose worker died; the second time it is an error."""
        run = self.opening.opened
        if run is None or not run.has_planned(crashitem):
            return None
        self._crashes[crashitem] += 1
        if self._crashes[crashitem] == 1 and _hand_out_again(crashitem, sched):
            report.outcome = "rerun"
            return True
        report.when, report.lightllm_case = "setup", True
        report.longrepr = (
            f"{report.longrepr}, and so did the worker that ran it before: it was not measured. "
            "See whether memory ran out, or what the test does outside the sandbox."
            if self._crashes[crashitem] > 1
            else f"{report.longrepr}: it was not measured."
        )
        run.record(
            crashitem, CaseVerdict(outcome="error", detail=report.longrepr, error="WorkerCrash")
        )
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Makes a case an error whose worker died and that no other worker ran again."""
        run = self.opening.opened
        for nodeid in run.unfinished if run is not None else ():
            if run is not None and self._crashes[nodeid]:
                detail = f"the worker that ran {nodeid!r} died, and no other one was left"
                run.record(
                    nodeid, CaseVerdict(outcome="error", detail=detail, error="WorkerCrash")
                )

    # Messages, on the gateways' receiver threads; outcomes, on the engine's.

    def _receive(self, node: Any, text: str) -> None:
        message = json.loads(text)
        kind = message["type"]
        if kind == "refused":
            self._refusal = message["message"]
        elif kind == "collected":
            with self._lock:
                self._unanswered.append(node)
            self._note_needs(from_json(Needs, message["needs"]))
            self.opening.begin()
            self._answer()
        elif kind == "plan":
            self._plan(message)
        elif kind == "want":
            self._want(node, from_json(Request, message["request"]))

    def _opened(self, opened: Run | HarnessError) -> None:
        if not isinstance(opened, HarnessError):
            opened.on_outcome = self._outcome_arrived
        self._answer(opened)

    def _answer(self, opened: Run | HarnessError | None = None) -> None:
        opened = opened or self.opening.opened
        if opened is None:
            return
        with self._lock:
            for node in self._unanswered:
                if isinstance(opened, HarnessError):
                    self._send(node, type="failed", message=str(opened))
                    continue
                is_planner = self._planner is None and not self._is_planned
                if is_planner:
                    self._planner = node
                self._answered.append(node)
                self._send(node, type="session", plan=is_planner)
            self._unanswered.clear()

    def _plan(self, message: dict[str, Any]) -> None:
        run = self.opening.opened
        assert run is not None, "a worker plans only when it was asked to"
        run.plan(decode_planned(case) for case in message["cases"])
        if message["last"]:
            with self._lock:
                self._is_planned = True
            run.is_plan_whole = True
            if self._scheduling is not None:
                self._scheduling.plan_arrived()

    def _want(self, node: Any, request: Request) -> None:
        run = self.opening.opened
        assert run is not None, "a worker has cases to run only when the run is open"
        with self._lock:
            if run.outcome(request.id) is None:
                self._wanted[request.id].add(node)
        # It may have arrived in between: then nobody else will send it.
        if run.outcome(request.id) is None:
            run.want(request)
        else:
            self._outcome_arrived(request.id, {node})

    def _outcome_arrived(self, nodeid: str, also: Iterable[Any] = ()) -> None:
        with self._lock:
            nodes = self._wanted.pop(nodeid, set()) | set(also)
        for node in nodes:
            self._deliver(node, nodeid)
        if self._scheduling is not None:
            self._scheduling.completion_arrived(nodeid)

    def _deliver(self, node: Any, nodeid: str) -> None:
        run = self.opening.opened
        outcome = run.outcome(nodeid) if run else None
        if outcome is not None:
            self._send(node, type="outcome", id=nodeid, outcome=encode_outcome(outcome))

    def _send(self, node: Any, **message: Any) -> None:
        channel = self._channels.get(node)
        try:
            if channel is not None:
                channel.send(json.dumps(message))
        except OSError:
            # The worker is gone; xdist will say so and hand its cases to others.
            pass


class WorkerSide:
    """A worker's end of its channel: a source of completions for the fixtures."""

    def __init__(self, config: pytest.Config, channel: Any) -> None:
        self._channel = channel
        self._mailbox = Mailbox()
        self._session: dict[str, Any] | None = None
        self._answered = threading.Event()
        self._items: dict[pytest.Item, Any] = {}
        config.stash[SOURCE] = self

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """Passes on why this worker cannot go on: xdist would only say that it ended."""
        try:
            return (yield)
        except pytest.UsageError:
            if reason := refusal(session.config):
                self._send(type="refused", message=reason)
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tells the controller what there is to run."""
        items = self._items = _case_items(session)
        if not items:
            return
        self._channel.setcallback(self._receive, endmarker=None)
        self._send(type="collected", cases=len(items), needs=to_json(needs_of(items)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Waits until the servers are ready, and sends the plan if asked to."""
        if self._items:
            self._answered.wait()
            assert self._session is not None
            if self._session["type"] == "session" and self._session["plan"]:
                try:
                    self._send_plan()
                except HarnessError as error:
                    raise pytest.UsageError(str(error)) from error
        return (yield)

    def completion(self, request: Request) -> Completion:
        """Returns the completion of a request, however long it takes.

        Raises:
            HarnessError: There is none to be had.
        """
        try:
            return self._mailbox.wait(
                request.id, lambda: self._send(type="want", request=to_json(request))
            )
        finally:
            self._mailbox.discard(request.id)

    def _send_plan(self) -> None:
        """Sends all cases.

        Raises:
            HarnessError: One cannot be made into a request; the controller was told so.
        """
        cases = (planned_case(item, case) for item, case in self._items.items())
        try:
            portion = [to_json(case) for case in islice(cases, _PORTION)]
            while portion:
                following = [to_json(case) for case in islice(cases, _PORTION)]
                self._send(type="plan", cases=portion, last=not following)
                portion = following
        except HarnessError as error:
            self._send(type="refused", message=str(error))
            raise

    def _send_plan_later(self) -> None:
        # The controller was told; here are only cases, which cannot do anything about it.
        with contextlib.suppress(HarnessError):
            self._send_plan()

    def _send(self, **message: Any) -> None:
        try:
            self._channel.send(json.dumps(message))
        except OSError:
            self._mailbox.close(HarnessError("The xdist controller is gone."))

    def _receive(self, text: str | None) -> None:
        if text is None:
            self._mailbox.close(HarnessError("The xdist controller is gone."))
            self._session = self._session or {"type": "failed"}
            self._answered.set()
            return
        message = json.loads(text)
        if message["type"] == "outcome":
            self._mailbox.put(message["id"], decode_outcome(message["outcome"]))
        elif message["type"] == "plan":
            # Cases may be running, and outcomes for them arrive on this thread.
            threading.Thread(target=self._send_plan_later, name="lightllm-plan").start()
        else:
            self._session = message
            self._answered.set()


def _hand_out_again(crashitem: str, sched: Any) -> bool:
    """Returns whether a case whose worker died will run once more."""
    if isinstance(sched, LoadScopeScheduling):
        # xdist did it: what was left of the dead worker's file or class goes to another.
        return True
    try:
        sched.mark_test_pending(crashitem)
    except NotImplementedError:
        return False
    return True


def _case_items(session: pytest.Session) -> dict[pytest.Item, Any]:
    pairs: Sequence[tuple[pytest.Item, Any]] = [(item, case_of(item)) for item in session.items]
    return {item: case for item, case in pairs if case is not None}
