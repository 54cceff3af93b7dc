"""Tokens a second of the embedded server in a whole run, against bare xllamacpp.

    python benchmarks/embedded.py [--samples 32] [--max-new-tokens 256] [--threads N] [--runs 3]

A run of HumanEval with ``-n 2`` and 8 requests at once comes first. Then its prompts go, in the
same order and for as many tokens each, to llama.cpp's own server with as many slots and threads:
no stop strings, no streams, no pytest. Both take turns, and their medians are compared. The time
of both is from the first request to the last answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from lightllm_evals.embedded import weights
from lightllm_evals.embedded.llama import default_threads

ROOT = Path(__file__).resolve().parents[1]
SLOTS = 8
CONTEXT = 2048
PROFILE = """
description = "the embedded server with a given number of threads"
api = "generate"
concurrency = 8
[variants]
humaneval = "bigcode"
[embedded]
slots = 8
threads = {threads}
"""


class Rate(NamedTuple):
    tokens: int
    seconds: float

    @property
    def per_s(self) -> float:
        return self.tokens / self.seconds


def harness_rate(folder: Path, options: argparse.Namespace) -> tuple[Rate, Path]:
    """Returns the rate that a whole run says it had, and where its results are."""
    profile = folder / "threads.toml"
    profile.write_text(PROFILE.format(threads=options.threads), encoding="utf-8")
    run_dir = folder / f"run-{time.time_ns()}"
    command = [
        *(sys.executable, "-m", "pytest", str(ROOT / "evals" / "test_humaneval.py"), "-n2"),
        *("-q", "--tb=no", "-rN", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
        *(f"--lightllm-profile={profile}", f"--lightllm-limit={options.samples}"),
        *(f"--lightllm-param=max_new_tokens={options.max_new_tokens}",),
        *(f"--lightllm-run-dir={run_dir}",),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = re.search(r"generated (\d+) tokens in ([\d.]+) s", done.stdout)
    if found is None:
        raise SystemExit(f"The run came to nothing:\n{done.stdout}\n{done.stderr}")
    return Rate(int(found[1]), float(found[2])), run_dir / "results.jsonl"


def bodies_of(results: Path) -> list[bytes]:
    """Returns llama.cpp's requests for the tokens that a run got, in the data set's order."""
    found: dict[int, bytes] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        number = int(record["case"]["sample"].partition("/")[2])
        body = {
            "prompt": record["case"]["request"]["prompt"],
            "n_predict": record["completion"]["output_tokens"],
            "ignore_eos": True,
            "temperature": 0.0,
        }
        found[number] = json.dumps(body).encode()
    return [found[number] for number in sorted(found)]


def bare_rate(bodies: Sequence[bytes], threads: int) -> Rate:
    """Returns the rate of llama.cpp's server; to be called once in a process."""
    import xllamacpp  # type: ignore[import-not-found,unused-ignore]  # the extra cpu

    params = xllamacpp.CommonParams()
    params.model.path = str(weights.ensure())
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 2 * SLOTS
    params.cache_ram_mib = 0
    params.verbosity = 0
    params.ui = False
    server = xllamacpp.Server(params)
    address = urlsplit(server.listening_address).netloc
    local = threading.local()

    def ask(body: bytes) -> int:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(address)
        headers = {"Content-Type": "application/json"}
        local.connection.request("POST", "/completion", body, headers)
        return int(json.loads(local.connection.getresponse().read())["tokens_predicted"])

    started = time.monotonic()
    with ThreadPoolExecutor(SLOTS) as pool:
        tokens = sum(pool.map(ask, bodies))
    return Rate(tokens, time.monotonic() - started)


def bare_in_child(results: Path, threads: int) -> Rate:
    """Returns the rate of llama.cpp's server, which is in a process of its own as ours is."""
    command = [sys.executable, __file__, "--bare", str(results), "--threads", str(threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Rate(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        print(json.dumps(bare_rate(bodies_of(options.bare), options.threads)))
        return
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.runs):
            rate, results = harness_rate(Path(name), options)
            ours.append(rate)
            bare.append(bare_in_child(results, options.threads))
            for title, each in (("pytest -n 2", ours[-1]), ("bare", bare[-1])):
                print(
                    f"{title:12} {each.tokens} tokens in {each.seconds:.1f} s, "
                    f"{each.per_s:.1f} tokens/s",
                    flush=True,
                )
    ours_per_s = statistics.median(rate.per_s for rate in ours)
    bare_per_s = statistics.median(rate.per_s for rate in bare)
    print(
        f"{options.threads} threads, {SLOTS} at once: {ours_per_s:.1f} tokens/s, "
        f"bare {bare_per_s:.1f}, ratio {ours_per_s / bare_per_s:.2f}"
    )


if __name__ == "__main__":
    main()
