from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lightllm_evals.errors import (
    BadResponseError,
    HarnessError,
    RequestCancelledError,
    ServerDiedError,
    ServerUnreachableError,
)
from lightllm_evals.records import Completion, Request

Make = Callable[..., Any]
Requests = Callable[..., list[Request]]


def ids_of(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def test_every_request_has_one_result_whoever_plans_it(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    generation = new_generation(replica, concurrency=8)
    results.then = generation.release
    planners = [
        threading.Thread(target=generation.plan, args=(requests_of(*ids_of(1000, first)),))
        for first in (0, 250, 500, 1000)
    ]
    for planner in planners:
        planner.start()
    for planner in planners:
        planner.join()
    results.wait_for(*ids_of(2000))
    assert set(results.counts.values()) == {1}
    assert sorted(replica.asked) == sorted(ids_of(2000))
    assert replica.max_at_once <= 8
    assert all(isinstance(outcome, Completion) for outcome in results.outcomes.values())


def test_fills_all_slots_and_no_more(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=3)
    generation.plan(requests_of(*"abcde"))
    replica.wait_for(*"abc")
    replica.reply("b")
    replica.wait_for(*"acd")
    for request_id in "acde":
        replica.reply(request_id)
    results.wait_for(*"abcde")
    assert replica.max_at_once == 3


def test_sends_before_all_of_a_long_plan_is_rendered(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    generation = new_generation(replica)
    results.then = generation.release

    def rendering() -> Any:
        yield from requests_of(*ids_of(300))
        results.wait_for("0")
        yield from requests_of("last")

    generation.plan(rendering())
    results.wait_for("last")


def test_a_waiting_case_passes_the_window(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    generation = new_generation(replica, concurrency=1, window=1)
    generation.plan(requests_of(*"abc"))
    results.wait_for("a")
    generation.want("c")
    results.wait_for("c")
    assert replica.asked == ["a", "c"]


def test_a_case_that_nobody_planned_plans_itself(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    generation = new_generation(replica)
    generation.want("a", requests_of("a")[0])
    results.wait_for("a")
    generation.want("a", requests_of("a")[0])
    assert replica.asked == ["a"]


def test_releasing_lets_the_look_ahead_go_on(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    generation = new_generation(new_replica(is_automatic=True), concurrency=1, window=2)
    generation.plan(requests_of(*"abcd"))
    results.wait_for(*"ab")
    generation.release("a")
    results.wait_for("c")
    assert "d" not in results.outcomes


def test_a_forgotten_request_is_never_sent(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=1)
    generation.plan(requests_of(*"abc"))
    replica.wait_for("a")
    generation.forget(["a", "b"])
    replica.reply("a")
    replica.reply("c")
    results.wait_for("c")
    assert list(results.counts) == ["c"]


def test_a_failed_request_is_delivered_as_its_error(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    new_generation(replica).plan(requests_of(*"ab"))
    replica.reply("a", BadResponseError("half an answer", "a", replica.url))
    replica.reply("b")
    results.wait_for(*"ab")
    assert str(results.errors()["a"]) == "half an answer"
    assert list(results.errors()) == ["a"]


def test_a_client_that_fails_unexpectedly_loses_no_request(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    replica.error_for = lambda request: ValueError("a bug") if request.id == "a" else None
    new_generation(replica, concurrency=1).plan(requests_of(*"ab"))
    results.wait_for(*"ab")
    assert type(results.outcomes["a"]) is HarnessError
    assert "ValueError: a bug" in str(results.outcomes["a"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_fails_takes_no_request_along(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    def then(request_id: str) -> None:
        if request_id == "b":
            raise ValueError(request_id)

    results.then = then
    new_generation(new_replica(is_automatic=True), concurrency=1).plan(requests_of(*"abcd"))
    results.wait_for(*"abcd")
    assert set(results.counts.values()) == {1}


def test_stopping_cancels_what_is_in_flight_and_what_waits(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=2)
    generation.plan(requests_of(*"abcd"))
    replica.wait_for(*"ab")
    replica.reply("a")
    replica.wait_for(*"bc")
    generation.stop("interrupted")
    assert set(results.counts.values()) == {1}
    assert set(results.errors()) == set("bcd")
    for error in results.errors().values():
        assert isinstance(error, RequestCancelledError)
        assert "interrupted" in str(error)
    assert replica.num_cancels
    assert sorted(replica.asked) == list("abc")
    assert generation.progress().in_flight == 0


def test_stopping_twice_and_planning_after_it_are_harmless(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica)
    generation.stop("interrupted")
    generation.stop("again")
    generation.plan(requests_of("a"))
    generation.want("b", requests_of("b")[0])
    assert "interrupted" in str(results.errors()["a"])
    assert set(results.errors()) == {"a", "b"}
    assert replica.asked == []


def test_a_callback_may_stop_the_run(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=2)
    stopped = threading.Event()

    def then(request_id: str) -> None:
        if request_id == "a":
            generation.stop("enough")
            stopped.set()

    results.then = then
    generation.plan(requests_of(*"abc"))
    replica.wait_for(*"ab")
    replica.reply("a")
    results.wait_for(*"abc")
    assert stopped.wait(60)
    assert set(results.errors()) == set("bc")


def test_a_request_about_to_be_sent_when_the_run_stops_is_not_sent(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=1)
    delivering = threading.Event()

    def then(request_id: str) -> None:
        # The thread that delivers this one holds the next request until stop() has ended it.
        if request_id == "a":
            delivering.set()
            results.wait_for("b")

    results.then = then
    generation.plan(requests_of("a", "b"))
    replica.reply("a")
    assert delivering.wait(60)
    generation.stop("interrupted")
    assert replica.asked == ["a"]


def test_threads_are_used_again(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    generation = new_generation(new_replica(is_automatic=True))
    before = threading.active_count()
    for request_id in ids_of(200):
        generation.plan(requests_of(request_id))
        results.wait_for(request_id)
        generation.release(request_id)
    assert threading.active_count() - before < 100


def test_a_server_that_dies_ends_the_rest_with_one_sentence(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    checked: list[str] = []

    def is_reachable(url: str) -> bool:
        checked.append(url)
        return False

    generation = new_generation(
        replica, concurrency=8, first_pause_s=0.001, is_reachable=is_reachable
    )
    generation.plan(requests_of(*ids_of(164)))
    for request_id in ids_of(50):
        replica.reply(request_id)
    results.wait_for(*ids_of(50))
    replica.break_connections()
    results.wait_for(*ids_of(164))
    assert set(results.counts.values()) == {1}
    errors = results.errors()
    assert len(errors) == 114
    died = {str(error) for error in errors.values() if isinstance(error, ServerDiedError)}
    (sentence,) = died
    assert "http://replica stopped answering after 50 completions" in sentence
    assert "connection refused" in sentence
    assert all(isinstance(e, (ServerDiedError, ServerUnreachableError)) for e in errors.values())
    assert checked
    assert replica.num_cancels == 1
    generation.plan(requests_of("late"))
    assert str(results.errors()["late"]) == sentence


def test_some_lost_connections_break_nothing(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica(is_automatic=True)
    lost = set("0123")
    replica.error_for = lambda request: (
        ServerUnreachableError("reset", request.id, replica.url) if request.id in lost else None
    )
    generation = new_generation(replica, first_pause_s=0.001, is_reachable=lambda url: True)
    generation.plan(requests_of(*ids_of(100)))
    results.wait_for(*ids_of(100))
    assert set(results.errors()) == lost


def test_requests_of_a_dead_replica_are_answered_by_the_others(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    alive = new_replica("http://alive")
    dead = new_replica("http://dead")
    generation = new_generation(
        alive, dead, concurrency=4, first_pause_s=0.001, is_reachable=lambda url: False
    )
    generation.plan(requests_of(*ids_of(40)))
    alive.wait_for("0", "2")
    dead.wait_for("1", "3")
    dead.break_connections()
    alive.wait_for("0", "1", "2", "3")
    for request_id in ids_of(40):
        alive.reply(request_id)
    results.wait_for(*ids_of(40))
    assert set(results.counts.values()) == {1}
    assert {outcome.server for outcome in results.outcomes.values()} == {"http://alive"}


def test_a_replica_that_comes_back_is_used_again(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    steady = new_replica("http://steady")
    flaky = new_replica("http://flaky", is_automatic=True)
    flaky.error_for = lambda request: ServerUnreachableError("reset", request.id, flaky.url)
    checked = threading.Event()

    def is_reachable(url: str) -> bool:
        flaky.error_for = lambda request: None
        checked.set()
        return True

    generation = new_generation(
        steady, flaky, concurrency=2, first_pause_s=0.001, is_reachable=is_reachable
    )
    generation.plan(requests_of(*"abcdef"))
    assert checked.wait(60)
    steady.wait_for("a")
    steady.is_automatic = True
    steady.reply("a")
    if "b" in steady.asked:
        steady.reply("b")
    results.wait_for(*"abcdef")
    assert not results.errors()
    assert "http://flaky" in {outcome.server for outcome in results.outcomes.values()}


def test_a_busy_server_gets_fewer_requests_at_once(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=16)
    generation.plan(requests_of(*ids_of(40)))
    replica.wait_for(*ids_of(16))
    for _ in range(100):
        replica.on_busy()
    for request_id in ids_of(12):
        replica.reply(request_id)
    results.wait_for(*ids_of(12))
    assert generation.progress().in_flight < 12


def test_one_prefix_is_warmed_up_by_one_request(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    replica = new_replica()
    generation = new_generation(replica, concurrency=4)
    generation.plan(requests_of(*"abc", prefix="p"))
    generation.plan(requests_of("x"))
    replica.wait_for("a", "x")
    assert replica.asked == ["a", "x"]
    replica.reply("a")
    replica.wait_for(*"bcx")


def test_progress_says_what_is_in_flight_and_for_how_long(
    new_generation: Make, new_replica: Make, results: Any, requests_of: Requests
) -> None:
    now = 0.0
    replica = new_replica()
    generation = new_generation(replica, concurrency=2, clock=lambda: now)
    assert generation.progress().tokens_per_s == 0
    generation.plan(requests_of(*"abc"))
    replica.wait_for(*"ab")
    now = 4.0
    assert generation.progress().since_last_completion_s == pytest.approx(4.0)
    replica.reply("a")
    results.wait_for("a")
    replica.wait_for("c")
    now = 5.0
    progress = generation.progress()
    assert progress.in_flight_ids == (("b", 5.0), ("c", 1.0))
    assert (progress.planned, progress.in_flight, progress.done) == (3, 2, 1)
    assert (progress.failed, progress.waiting_to_be_scored) == (0, 1)
    assert progress.output_tokens == 10
    assert progress.elapsed_s == pytest.approx(5.0)
    assert progress.tokens_per_s == pytest.approx(2.0)
    assert progress.since_last_completion_s == pytest.approx(1.0)
    generation.release("a")
    replica.reply("b")
    replica.reply("c", BadResponseError("half", "c", replica.url))
    results.wait_for("b", "c")
    now = 100.0
    progress = generation.progress()
    assert (progress.done, progress.failed, progress.waiting_to_be_scored) == (2, 1, 1)
    assert progress.elapsed_s == pytest.approx(5.0)
    assert progress.since_last_completion_s == 0
