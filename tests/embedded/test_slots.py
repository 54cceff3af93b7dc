"""Who gets which slot, without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.embedded.slots import Slots


async def visit(slots: Slots, token_ids: Sequence[int]) -> int:
    async with slots.slot(token_ids) as slot:
        return slot


def visits(number: int, *texts: Sequence[int]) -> list[int]:
    """Returns the slots that texts get one after the other."""

    async def run() -> list[int]:
        slots = Slots(number)
        return [await visit(slots, text) for text in texts]

    return asyncio.run(run())


def test_a_text_gets_the_slot_that_holds_most_of_it() -> None:
    first, second, again, other, longer = visits(
        3, [1, 2, 3], [7, 8, 9], [1, 2, 4], [7, 5], [1, 2, 4, 6]
    )
    assert first != second
    assert again == first == longer
    assert other == second


def test_a_new_text_takes_the_place_of_the_oldest() -> None:
    assert visits(3, [1], [2], [3], [1], [4], [5]) == [0, 1, 2, 0, 1, 2]


def test_choices_of_one_item_stay_together_while_others_run() -> None:
    async def run() -> list[int]:
        slots = Slots(2)
        async with slots.slot([7, 7]) as other:
            found = [await visit(slots, [1, 2, number]) for number in range(4)]
        return [other, *found]

    other, *found = asyncio.run(run())
    assert len(set(found)) == 1
    assert other not in found


def test_whoever_comes_late_waits_in_order() -> None:
    async def run() -> list[int]:
        slots = Slots(1)
        served: list[int] = []

        async def serve(number: int) -> None:
            async with slots.slot([number]):
                served.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(serve(number) for number in range(5)))
        return served

    assert asyncio.run(run()) == list(range(5))


def test_a_slot_comes_back_from_an_error_and_from_a_cancelled_wait() -> None:
    async def fail(slots: Slots) -> None:
        async with slots.slot([1]):
            raise ValueError

    async def run() -> int:
        slots = Slots(1)
        await asyncio.gather(fail(slots), return_exceptions=True)
        async with slots.slot([1]):
            waiting = asyncio.create_task(visit(slots, [2]))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return await visit(slots, [3])

    assert asyncio.run(run()) == 0


@given(
    number=st.integers(1, 4),
    texts=st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=20),
)
def test_no_slot_is_given_twice_at_a_time(number: int, texts: list[list[int]]) -> None:
    async def run() -> None:
        slots = Slots(number)
        busy: set[int] = set()

        async def use(text: list[int]) -> None:
            async with slots.slot(text) as slot:
                assert slot not in busy
                assert 0 <= slot < number
                busy.add(slot)
                await asyncio.sleep(0)
                busy.remove(slot)

        await asyncio.gather(*(use(text) for text in texts))

    asyncio.run(run())
