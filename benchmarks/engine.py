"""What the engine costs on top of its client, and threads against an event loop.

    python benchmarks/engine.py [--requests 4000] [--concurrency 64] [--seconds 0] [--runs 3]

All ways ask one simulated server for the same completions; they take turns, and the best wall of
each counts. CPU is that of this process alone, so the server's share is out of it. aiohttp takes
part if it is installed.

    raw threads      a loop over requests.Session in each thread, answers only parsed as JSON
    client threads   a loop over our Client in each thread
    engine           Generation over our Client
    aiohttp          tasks on one event loop, answers only parsed as JSON
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests

from lightllm_evals.client import Client
from lightllm_evals.errors import HarnessError
from lightllm_evals.records import Completion, Request, SamplingParams
from lightllm_evals.runner import Generation

TOKENS = 20
PARAMETERS = {
    "do_sample": False,
    "max_new_tokens": TOKENS,
    "repetition_penalty": 1.0,
    "skip_special_tokens": True,
    "add_special_tokens": True,
}


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float


@contextmanager
def simulated(prompts: Sequence[str], *, slots: int, seconds: float) -> Iterator[str]:
    """A simulated server whose every answer takes this long; yields its URL."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.jsonl"
        lines = [
            json.dumps({"prompt": prompt, "completion": "yes", "output_tokens": TOKENS})
            for prompt in prompts
        ]
        answers.write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", "simulated"]
        options = ["--slots", str(slots), "--step-ms", str(1000 * seconds / TOKENS)]
        process = subprocess.Popen(
            [*command, "--exit-with-parent", "--answers", str(answers), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline().partition(" ")[2])["url"]
            process.terminate()


def in_threads(count: int, items: Sequence[Request], work: Callable[[Request], object]) -> None:
    """Has that many threads take items from one queue until it is empty."""
    waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    for item in [*items, *[None] * count]:
        waiting.put(item)

    def loop() -> None:
        while (item := waiting.get()) is not None:
            work(item)

    threads = [threading.Thread(target=loop) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def raw_threads(url: str, items: Sequence[Request], concurrency: int) -> None:
    local = threading.local()

    def ask(item: Request) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        body = {"inputs": item.prompt, "parameters": PARAMETERS}
        answer = local.session.post(f"{url}/generate", json=body, timeout=600)
        assert answer.json()["generated_text"]

    in_threads(concurrency, items, ask)


def client_threads(url: str, items: Sequence[Request], concurrency: int) -> None:
    with Client(url) as client:
        in_threads(concurrency, items, client.complete)


def engine(url: str, items: Sequence[Request], concurrency: int) -> None:
    done = threading.Event()
    num_done = 0
    lock = threading.Lock()

    def on_result(request_id: str, outcome: Completion | HarnessError) -> None:
        nonlocal num_done
        assert isinstance(outcome, Completion), outcome
        generation.release(request_id)
        with lock:
            num_done += 1
            if num_done == len(items):
                done.set()

    with Client(url) as client:
        generation = Generation([client], concurrency=concurrency, on_result=on_result)
        generation.plan(items)
        done.wait()
        generation.stop("all done")


def aiohttp_tasks(url: str, items: Sequence[Request], concurrency: int) -> None:
    import aiohttp  # type: ignore[import-not-found]  # optional

    async def ask_all() -> None:
        waiting = iter(items)
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def loop() -> None:
                for item in waiting:
                    body = {"inputs": item.prompt, "parameters": PARAMETERS}
                    async with session.post(f"{url}/generate", json=body) as answer:
                        assert (await answer.json(content_type=None))["generated_text"]

            await asyncio.gather(*(loop() for _ in range(concurrency)))

    asyncio.run(ask_all())


def measured(work: Callable[[], None]) -> Cost:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long an answer takes")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    ways = {"raw threads": raw_threads, "client threads": client_threads, "engine": engine}
    if importlib.util.find_spec("aiohttp"):
        ways["aiohttp"] = aiohttp_tasks
    params = SamplingParams(max_new_tokens=TOKENS)
    items = [
        Request(id=f"item/{number}", params=params, prompt=f"Question {number}?")
        for number in range(options.requests)
    ]
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    prompts = [item.prompt for item in items]
    with simulated(prompts, slots=options.concurrency, seconds=options.seconds) as url:
        for _ in range(options.runs):
            for name, way in ways.items():
                costs[name].append(measured(partial(way, url, items, options.concurrency)))
    best = {name: min(each) for name, each in costs.items()}
    ideal_s = options.seconds * -(-options.requests // options.concurrency)
    print(
        f"{options.requests} requests, {options.concurrency} at once, {options.seconds:g} s each"
    )
    print(f"{'':16}{'wall':>9}{'x client':>10}{'x ideal':>9}{'CPU a request':>16}")
    for name, cost in best.items():
        against = cost.wall_s / best["client threads"].wall_s
        ideal = f"{cost.wall_s / ideal_s:.2f}" if ideal_s else "-"
        cpu_ms = 1000 * cost.cpu_s / options.requests
        print(f"{name:16}{cost.wall_s:8.2f}s{against:10.2f}{ideal:>9}{cpu_ms:13.3f} ms")


if __name__ == "__main__":
    main()
