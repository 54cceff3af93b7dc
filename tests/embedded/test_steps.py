import asyncio

from lightllm_evals.embedded.steps import StepLoop, Timing

# Long enough to be told apart from the cost of the loop itself.
STEP_MS = 5.0


def elapsed_s(loop_of_steps: StepLoop, runs: list[tuple[int, int]]) -> float:
    """Returns how long it takes to run all (prompt, steps) that begin together."""

    async def run_all() -> float:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await asyncio.gather(*(loop_of_steps.run(prompt, steps) for prompt, steps in runs))
        return loop.time() - start_s

    return asyncio.run(run_all())


def test_many_completions_take_hardly_longer_than_one() -> None:
    steps = StepLoop(Timing(step_ms=STEP_MS), num_slots=128)
    together_s = elapsed_s(steps, [(10, 20)] * 128)
    assert together_s >= 20 * STEP_MS / 1000
    # One after the other they would take 128 times as long.
    assert together_s < 20 * 20 * STEP_MS / 1000


def test_more_completions_than_slots_wait_for_their_turn() -> None:
    steps = StepLoop(Timing(step_ms=STEP_MS), num_slots=2)
    assert elapsed_s(steps, [(1, 4)] * 6) >= 3 * 4 * STEP_MS / 1000
    assert len(steps) == 0


def test_prefill_takes_its_time_for_every_prompt_token() -> None:
    steps = StepLoop(Timing(step_ms=0.0, prefill_ms_per_token=1.0), num_slots=4)
    assert elapsed_s(steps, [(30, 1), (20, 1)]) >= 0.03


def test_a_cancelled_completion_frees_its_slot() -> None:
    steps = StepLoop(Timing(step_ms=STEP_MS), num_slots=1)

    async def cancel_first() -> None:
        endless = asyncio.create_task(steps.run(1, 1_000_000))
        waiting = asyncio.create_task(steps.run(1, 1))
        await asyncio.sleep(0)
        assert len(steps) == 2
        endless.cancel()
        await waiting

    asyncio.run(asyncio.wait_for(cancel_first(), 30))
    assert len(steps) == 0


def test_each_step_is_reported_in_order() -> None:
    seen: list[int] = []
    steps = StepLoop(Timing(step_ms=0.1), num_slots=1)
    asyncio.run(steps.run(1, 5, seen.append))
    assert seen == [0, 1, 2, 3, 4]
