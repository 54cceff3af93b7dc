from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NewDesk = Callable[..., Any]


def test_the_least_loaded_replica_is_chosen(new_desk: NewDesk) -> None:
    desk = new_desk(num_replicas=2)
    desk.plan(*"abcd")
    assert [desk.at(0), desk.at(1)] == [["a", "c"], ["b", "d"]]
    desk.complete("b", "d")
    desk.plan("e", "f")
    assert desk.at(1) == ["e", "f"]


def test_one_replica_never_gets_more_than_its_limit(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=64, num_replicas=2, replica_limit=3)
    desk.plan(*"abcdefghij")
    assert [len(desk.at(0)), len(desk.at(1))] == [3, 3]


def test_requests_of_a_lost_replica_go_to_another(new_desk: NewDesk) -> None:
    desk = new_desk(num_replicas=2)
    desk.plan(*"abcd")
    desk.fail("a", "c")
    assert desk.delivered == []
    assert sorted(desk.at(1)) == ["a", "b", "c", "d"]
    desk.complete_all()
    assert sorted(desk.delivered) == ["a", "b", "c", "d"]


def test_a_request_that_reaches_no_replica_fails_in_the_end(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2, num_replicas=2)
    desk.plan("a", "b")
    desk.fail("a")
    desk.fail("a")
    assert desk.sent == ["a", "b", "a"]
    assert desk.delivered == []
    desk.pass_to_next_tick()
    desk.check(is_reachable=True)
    desk.fail("a")
    assert desk.sent == ["a", "b", "a", "a"]
    assert desk.delivered == ["a"]


def test_a_moved_request_does_not_wait_for_a_replica_that_is_gone(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2, num_replicas=2)
    desk.plan("a", "b")
    desk.fail("b")
    desk.complete("b")
    desk.fail("a")
    assert desk.in_flight == {}
    desk.pass_to_next_tick()
    assert desk.checks == [0, 1]
    desk.check(is_reachable=True)
    assert desk.at(0) == ["a"]


def test_a_lost_replica_is_tried_again_with_one_request_and_then_used(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=4, num_replicas=2, replica_limit=2)
    desk.plan(*"abcdefghij")
    desk.fail("a", "c")
    assert desk.pass_to_next_tick() == pytest.approx(0.5)
    assert desk.checks == [0]
    desk.check(is_reachable=True)
    assert len(desk.at(0)) == 1
    desk.complete(*desk.at(0))
    assert len(desk.at(0)) == 2


def test_a_replica_is_left_alone_for_longer_and_longer(new_desk: NewDesk) -> None:
    desk = new_desk(num_replicas=2)
    desk.plan(*"abcd")
    desk.fail("a", "c")
    pauses = []
    for _ in range(10):
        pauses.append(desk.pass_to_next_tick())
        desk.check(is_reachable=False)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert desk.broken is None


def test_one_lost_connection_does_not_break_the_run(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan(*"abcdefgh")
    desk.fail(*"abc")
    assert desk.sent == ["a", "b", "c", "d"]
    desk.complete("d")
    assert desk.sent == ["a", "b", "c", "d", "a", "b", "c", "e"]
    desk.complete_all()
    assert sorted(desk.delivered) == list("abcdefgh")
    assert desk.broken is None


def test_a_server_that_refuses_connections_breaks_the_run(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan(*(str(number) for number in range(114)))
    desk.fail("0")
    waited_s = desk.pass_to_next_tick()
    desk.check(is_reachable=False)
    waited_s += desk.pass_to_next_tick()
    desk.check(is_reachable=False)
    assert waited_s == pytest.approx(1.5)
    assert desk.delivered == []
    assert len(desk.broken) == 114
    assert desk.schedule.next_tick is None


def test_a_server_that_takes_connections_and_breaks_them_breaks_the_run(
    new_desk: NewDesk,
) -> None:
    desk = new_desk(concurrency=1)
    desk.plan(*"abcdefgh")
    desk.fail("a")
    for request_id in "bc":
        desk.pass_to_next_tick()
        desk.check(is_reachable=True)
        desk.fail(request_id)
    assert desk.delivered == []
    assert sorted(desk.broken) == list("abcdefgh")


def test_requests_that_break_their_connection_do_not_take_the_run_along(
    new_desk: NewDesk,
) -> None:
    desk = new_desk()
    desk.plan(*"wxyzabcdefgh")
    while desk.in_flight or desk.checks or desk.schedule.next_tick is not None:
        if desk.checks:
            desk.check(is_reachable=True)
        elif desk.in_flight:
            request_id = next(iter(desk.in_flight))
            desk.fail(request_id) if request_id in "wx" else desk.complete(request_id)
        else:
            desk.pass_to_next_tick()
    assert desk.broken is None
    assert sorted(desk.delivered) == sorted("wxyzabcdefgh")
    assert sorted(desk.sent) == sorted("wwxxyzabcdefgh")


def test_requests_that_fail_late_count_as_the_same_failure(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=8)
    desk.plan(*"abcdefghij")
    desk.fail(*"abcdefgh")
    assert desk.broken is None
    desk.pass_to_next_tick()
    desk.check(is_reachable=True)
    desk.complete_all()
    assert sorted(desk.delivered) == list("abcdefghij")


def test_the_run_goes_on_while_one_replica_answers(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2, num_replicas=2)
    desk.plan(*"abcdefgh")
    desk.fail("a")
    for _ in range(5):
        desk.pass_to_next_tick()
        desk.check(is_reachable=False)
    desk.complete_all()
    assert sorted(desk.delivered) == list("abcdefgh")


def test_a_server_that_only_hangs_breaks_the_run(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=10)
    desk.plan(*(str(number) for number in range(100)))
    for number in range(20):
        assert desk.broken is None
        desk.fail(str(number), failure="timeout")
    assert len(desk.broken) == 80


def test_timeouts_among_answers_break_nothing(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1)
    desk.plan(*(str(number) for number in range(60)))
    for number in range(0, 60, 15):
        desk.complete(str(number))
        desk.fail(*(str(number + late) for late in range(1, 15)), failure="timeout")
    assert desk.broken is None


def test_a_prefix_is_warmed_up_again_after_its_server_came_back(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan(*"abcdefghijkl", prefix="p")
    desk.complete("a")
    desk.fail("b")
    desk.complete("c")
    assert sorted(desk.in_flight) == ["b", "d", "e"]
    desk.complete("b")
    assert len(desk.in_flight) == 4


def test_a_moved_request_waits_for_the_warm_up_at_its_new_replica(new_desk: NewDesk) -> None:
    desk = new_desk(num_replicas=2)
    desk.plan("a", "b", prefix="p")
    desk.fail("a")
    assert desk.at(1) == ["b"]
    desk.complete("b")
    assert desk.at(1) == ["a"]


def test_a_replica_is_checked_by_one_check_at_a_time(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan(*"abcdefgh")
    desk.fail("a")
    desk.pass_to_next_tick()
    desk.complete("b")
    desk.fail("c")
    assert desk.schedule.next_tick is None
    desk.check(is_reachable=False)
    desk.pass_to_next_tick()
    assert desk.checks == [0]


def test_a_trial_that_takes_too_long_ends_the_trial(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2)
    desk.plan(*"abcdefgh")
    desk.fail("a", "b")
    desk.pass_to_next_tick()
    desk.check(is_reachable=True)
    desk.fail("c", failure="timeout")
    assert len(desk.in_flight) == 2


def test_failures_before_an_answer_do_not_count_against_the_server(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1)
    desk.plan(*"abcdefgh")
    for failing, answered in ("ab", "ac"):
        desk.fail(failing)
        desk.pass_to_next_tick()
        desk.check(is_reachable=False)
        desk.pass_to_next_tick()
        desk.check(is_reachable=True)
        desk.complete(answered)
    assert desk.broken is None


def test_a_server_that_refuses_gets_less_and_then_more_again(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=64)
    desk.plan(*(str(number) for number in range(2000)))
    for _ in range(64 * 6):
        desk.schedule.refused(0)
    while desk.sent[-1] == "63":
        desk.complete(next(iter(desk.in_flight)))
    assert len(desk.in_flight) < 20
    while len(desk.sent) < 1900:
        desk.complete(next(iter(desk.in_flight)))
    assert len(desk.in_flight) == 64


def test_some_random_refusals_do_not_throttle_the_run(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=64)
    desk.plan(*(str(number) for number in range(2000)))
    for number in range(1900):
        if number % 10 == 0:
            desk.schedule.refused(0)
        desk.complete(next(iter(desk.in_flight)))
    assert len(desk.in_flight) >= 60


@pytest.mark.parametrize("capacity", [4, 32])
def test_the_load_settles_near_what_the_server_takes(new_desk: NewDesk, capacity: int) -> None:
    desk = new_desk(concurrency=64)
    desk.plan(*(str(number) for number in range(4000)))
    loads = []
    while desk.in_flight:
        for _ in range(max(0, len(desk.in_flight) - capacity)):
            desk.schedule.refused(0)
        for request_id in list(desk.in_flight)[:capacity]:
            desk.complete(request_id)
        loads.append(len(desk.in_flight))
    settled = loads[20:-20]
    assert max(settled) <= 2 * capacity
    assert min(settled) >= capacity / 2
