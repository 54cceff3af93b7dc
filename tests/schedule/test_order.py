from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NewDesk = Callable[..., Any]


def test_sends_in_data_set_order_up_to_the_concurrency(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2)
    desk.plan("a", "b", "c")
    assert desk.sent == ["a", "b"]
    desk.complete("b")
    assert desk.sent == ["a", "b", "c"]


def test_sends_the_longest_first_where_lengths_are_known(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1, expected_tokens={"a": 5, "b": 50, "c": 20})
    desk.plan("a", "b", "c")
    desk.complete_all()
    assert desk.sent == ["b", "c", "a"]


def test_counts_an_unknown_length_as_its_limit(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1, expected_tokens={"a": 5, "b": 50})
    desk.plan("a", "new", "b", max_new_tokens=20)
    desk.complete_all()
    assert desk.sent == ["b", "new", "a"]


def test_keeps_the_order_of_cases_when_asked_even_where_lengths_are_known(
    new_desk: NewDesk,
) -> None:
    desk = new_desk(concurrency=1, in_order=True, expected_tokens={"a": 5, "b": 50})
    desk.plan("a", "b")
    desk.plan("c", prefix="p")
    desk.plan("d")
    desk.plan("e", prefix="p")
    desk.complete_all()
    assert desk.sent == ["a", "b", "c", "d", "e"]


def test_a_wanted_request_goes_next(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1)
    desk.plan("a", "b", "c", "d")
    desk.want("d")
    desk.want("c")
    desk.complete_all()
    assert desk.sent == ["a", "d", "c", "b"]


def test_a_request_wanted_before_it_is_planned_goes_first(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1)
    desk.want("c")
    desk.plan("a", "b", "c")
    assert desk.sent == ["c"]


def test_looks_ahead_only_as_far_as_the_window(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2, window=3)
    desk.plan(*"abcdefg")
    desk.complete_all()
    assert desk.sent == ["a", "b", "c"]
    desk.release("b")
    assert desk.sent == ["a", "b", "c", "d"]


def test_a_wanted_request_passes_a_full_window(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2, window=2)
    desk.plan(*"abcdefg")
    desk.complete_all()
    desk.want("g")
    assert desk.sent == ["a", "b", "g"]


def test_a_failed_request_takes_no_place_in_the_window(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1, window=1)
    desk.plan("a", "b")
    desk.fail("a", failure="other")
    assert desk.sent == ["a", "b"]
    assert desk.delivered == ["a"]


def test_a_forgotten_request_is_not_sent_and_frees_its_place(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1, window=1)
    desk.plan("a", "b", "c")
    desk.complete("a")
    desk.forget("a", "b")
    assert desk.sent == ["a", "c"]


def test_a_request_forgotten_in_flight_has_no_outcome_and_can_be_planned_anew(
    new_desk: NewDesk,
) -> None:
    desk = new_desk(concurrency=2)
    desk.plan("a")
    first = desk.in_flight["a"].ticket
    desk.forget("a")
    desk.plan("a")
    desk.complete("a")
    assert desk.delivered == ["a"]
    assert desk.schedule.completed(first, desk.now) == []


def test_planning_twice_sends_once(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan("a")
    desk.plan("a", "b")
    desk.complete_all()
    desk.plan("a")
    assert desk.sent == ["a", "b"]
    assert desk.schedule.counts.planned == 2


def test_the_first_of_a_prefix_goes_alone_and_the_rest_follow(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan("a", "b", "c", prefix="p")
    assert desk.sent == ["a"]
    desk.complete("a")
    assert desk.sent == ["a", "b", "c"]


def test_other_work_fills_the_slots_while_a_prefix_warms_up(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=3)
    desk.plan("p1", "p2", "p3", prefix="p")
    desk.plan("q1", "q2", prefix="q")
    desk.plan("x", "y")
    assert desk.sent == ["p1", "q1", "x"]
    desk.complete("p1")
    assert desk.sent[3:] == ["p2"]


def test_requests_of_one_prefix_stay_together(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1)
    for index in range(3):
        desk.plan(f"p{index}", prefix="p")
        desk.plan(f"q{index}", prefix="q")
    desk.complete_all()
    assert desk.sent == ["p0", "p1", "p2", "q0", "q1", "q2"]


def test_a_wanted_request_waits_for_the_warm_up_of_its_prefix(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan("a", "b", "c", prefix="p")
    desk.want("c")
    assert desk.sent == ["a"]
    desk.complete("a")
    assert desk.sent == ["a", "c", "b"]


def test_a_wanted_request_brings_its_prefix_before_others(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=1, window=2)
    desk.plan("p1", "p2", prefix="p")
    desk.plan("x", "y")
    desk.plan("q1", "q2", prefix="q")
    desk.complete("p1")
    desk.complete("p2")
    desk.want("q2")
    assert desk.sent == ["p1", "p2", "q2"]


def test_the_shortest_warms_up_where_lengths_are_known(new_desk: NewDesk) -> None:
    desk = new_desk(expected_tokens={"a": 900, "b": 3, "c": 500})
    desk.plan("a", "b", "c", prefix="p")
    assert desk.sent == ["b"]
    desk.complete("b")
    assert desk.sent == ["b", "a", "c"]


def test_after_a_failed_warm_up_another_one_goes_alone(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan("a", "b", "c", prefix="p")
    desk.fail("a", failure="other")
    assert desk.sent == ["a", "b"]


def test_a_prefix_whose_warm_ups_keep_failing_is_not_held_for_ever(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan(*"abcdefg", prefix="p")
    desk.fail("a", failure="other")
    desk.fail("b", failure="other")
    assert len(desk.in_flight) == 1
    desk.fail("c", failure="other")
    assert len(desk.in_flight) == 4


def test_a_warm_up_that_hangs_is_not_waited_for(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.plan("a", "b", "c", prefix="p")
    assert desk.pass_to_next_tick() == pytest.approx(10.0)
    assert desk.sent == ["a", "b", "c"]
    assert desk.schedule.next_tick is None


def test_each_replica_gets_its_own_warm_up(new_desk: NewDesk) -> None:
    desk = new_desk(num_replicas=2)
    desk.plan("a", "b", "c", "d", prefix="p")
    assert [desk.at(0), desk.at(1)] == [["a"], ["b"]]
    desk.complete("b")
    assert [desk.at(0), desk.at(1)] == [["a"], ["c", "d"]]


def test_stopping_ends_what_is_open_and_what_is_planned_later(new_desk: NewDesk) -> None:
    desk = new_desk(concurrency=2)
    desk.plan("a", "b", "c")
    desk.complete("a")
    desk.stop()
    assert sorted(desk.broken) == ["b", "c"]
    desk.plan("d")
    assert sorted(desk.broken) == ["b", "c", "d"]
    desk.complete("b")
    assert desk.delivered == ["a"]
    assert desk.schedule.counts.in_flight == 1
