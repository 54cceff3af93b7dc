"""The budget: wall-clock time less the time spent waiting for a CPU, without real time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.sandbox import starvation
from lightllm_evals.sandbox.deadline import HARD_CAP, Deadline
from lightllm_evals.sandbox.starvation import Usage


class Machine:
    """A clock that only tests move, and what the scheduler would say."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.delay_s = 0.0
        self.asked = 0

    def clock(self) -> float:
        return self.now_s

    def delay(self) -> float:
        self.asked += 1
        return self.delay_s


def test_an_idle_machine_gives_the_plain_budget() -> None:
    machine = Machine()
    deadline = Deadline(3.0, machine.clock, machine.delay)
    assert deadline.remaining_s() == pytest.approx(3.0)
    machine.now_s += 2.9
    assert deadline.remaining_s() == pytest.approx(0.1)
    assert machine.asked == 0
    machine.now_s += 0.2
    assert deadline.remaining_s() == 0.0


def test_waiting_for_a_cpu_does_not_count() -> None:
    machine = Machine()
    deadline = Deadline(3.0, machine.clock, machine.delay)
    machine.now_s += 3.0
    machine.delay_s = 1.7
    assert deadline.remaining_s() == pytest.approx(1.7)
    machine.now_s += 1.7
    machine.delay_s = 2.5
    assert deadline.remaining_s() == pytest.approx(0.8)
    machine.now_s += 0.8
    assert deadline.remaining_s() == 0.0


def test_the_hard_cap_ends_it() -> None:
    machine = Machine()
    deadline = Deadline(3.0, machine.clock, machine.delay)
    machine.delay_s = 1000.0
    machine.now_s += 3.0
    assert deadline.remaining_s() == pytest.approx(9.0)
    machine.now_s += 9.0
    assert deadline.remaining_s() == 0.0


@given(st.floats(0.1, 30), st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=40))
def test_no_history_goes_past_the_cap_or_cuts_the_budget(
    budget_s: float, steps: list[tuple[float, float]]
) -> None:
    machine = Machine()
    deadline = Deadline(budget_s, machine.clock, machine.delay)
    for step_s, starved in steps:
        machine.now_s += step_s
        machine.delay_s += step_s * starved
        remaining_s = deadline.remaining_s()
        used_s = deadline.elapsed_s - machine.delay_s
        assert deadline.elapsed_s + remaining_s <= max(
            HARD_CAP * budget_s + 1e-6, deadline.elapsed_s
        )
        if used_s < budget_s - 0.02 and deadline.elapsed_s < HARD_CAP * budget_s - 0.02:
            assert remaining_s > 0


def test_a_starved_program_is_credited_with_its_longest_waiting_thread() -> None:
    usage = starvation.parse(["1000000000 500000000 12\n", "0 2000000000 3\n", ""])
    assert usage == Usage(1.0, 2.0)
    assert starvation.delay_of([usage], wall_s=3.0) == pytest.approx(2.0)


def test_a_program_that_fills_the_cpus_itself_gets_no_credit() -> None:
    usage = Usage(cpu_s=6.0, delay_s=2.5)  # 16 threads on two CPUs for three seconds
    assert starvation.delay_of([usage], wall_s=3.0) == 0.0


def test_two_processes_that_take_turns_add_up() -> None:
    usages = [Usage(1.0, 0.5), Usage(0.5, 0.75)]
    assert starvation.delay_of(usages, wall_s=3.0) == pytest.approx(1.25)


def test_unreadable_statistics_are_no_delay() -> None:
    assert starvation.usage_of(2**22 + 1) == starvation.NOTHING
    assert starvation.children_of(2**22 + 1) == []
    assert starvation.parse([]) == starvation.NOTHING
