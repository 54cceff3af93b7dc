"""Every page of evals/ with every data set, on the simulated server: does it scale?

    python benchmarks/everything.py --data-dir DIR [--workers 2] [--concurrency 64] [evals/...]

DIR has the data sets (``lightllm-evals data fetch``). The server answers at once and always the
same, so that nearly all completions are wrong and likelihoods are made up: what is measured is
the harness. Printed are the summary, the time, and the largest memory of every process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from throughput import ROOT, get_json, simulated


class Memory:
    """The largest resident memory of a process and of its children, in MB."""

    def __init__(self, pid: int) -> None:
        self.controller_mb = 0.0
        self.children_mb = 0.0
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(1.0):
            try:
                self.controller_mb = max(self.controller_mb, _rss_mb(self._process))
                children = self._process.children(recursive=True)
                self.children_mb = max([self.children_mb, *map(_rss_mb, children)])
            except psutil.NoSuchProcess:
                continue

    def end(self) -> None:
        """Stops looking."""
        self._stop.set()
        self._thread.join()


def _rss_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def main() -> None:
    """Runs all pages, or those that are named, and prints what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", default=[str(ROOT / "evals")])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answers = folder / "answers.jsonl"
        answers.write_text("", encoding="utf-8")
        with simulated(answers, "--slots=256", "--max-req-total-len=65536") as address:
            command = [
                *(sys.executable, "-m", "pytest", *options.pages, f"-n{options.workers}"),
                *("-q", "--tb=no", "-rN", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
                *(f"--lightllm-url={address}", f"--lightllm-concurrency={options.concurrency}"),
                *(f"--lightllm-data-dir={options.data_dir}", f"--lightllm-run-dir={folder}/run"),
            ]
            started = time.monotonic()
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            memory = Memory(process.pid)
            output, _ = process.communicate()
            took_s = time.monotonic() - started
            memory.end()
            seen = get_json(address, "/_simulated/stats")
        sizes = {
            path.name: path.stat().st_size / 2**20
            for path in sorted((folder / "run").iterdir())
            if path.is_file()
        }
    print(output[output.find("lightllm evals") :])
    print(
        f"{took_s:.0f} s with -n {options.workers}, exit status {process.returncode}; "
        f"controller {memory.controller_mb:.0f} MB, largest child {memory.children_mb:.0f} MB; "
        f"server: {seen['requests']} requests, {seen['answered']} answered"
    )
    print("run directory:", ", ".join(f"{name} {mb:.0f} MB" for name, mb in sizes.items()))


if __name__ == "__main__":
    main()
