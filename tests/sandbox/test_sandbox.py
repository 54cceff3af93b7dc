"""The sandbox as a whole: its life, its failures, and that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError, SandboxError
from lightllm_evals.sandbox import Sandbox, zygote_process
from lightllm_evals.sandbox.jail import frames, scratch

TRIPLE = "def triple(x):\n    return 3 * x\n"
TESTS = "assert triple(2) == 6\n"
_DEADLINE_S = 60.0


def _eventually(condition: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + _DEADLINE_S
    waiting = threading.Event()
    while not condition():
        if time.monotonic() > end_s:
            return False
        waiting.wait(0.02)
    return True


@pytest.fixture
def scratch_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own, that also a zygote without root's rights can use."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.fixture
def fresh(level: int, scratch_parent: Path) -> Iterator[Sandbox]:
    """A sandbox at each level that this test may break."""
    try:
        sandbox = Sandbox(min_isolation=level, max_isolation=level)
    except ConfigError as error:
        pytest.skip(f"level {level} is not offered here: {error}")
    with sandbox:
        yield sandbox


def test_right_and_wrong_are_told_apart(sandbox: Sandbox, level: int) -> None:
    right = sandbox.run(TRIPLE, TESTS)
    wrong = sandbox.run("def triple(x):\n    return 2 * x\n", TESTS)
    assert (right.status, right.calls, right.isolation) == ("passed", 1, level)
    assert (wrong.status, wrong.calls, wrong.isolation) == ("failed", 1, level)
    assert "AssertionError" in wrong.detail
    assert right.is_unsafe == (level == 0)


def test_output_is_kept_by_its_head(sandbox: Sandbox) -> None:
    program = "import sys\ndef say(n):\n    print('x' * n)\n    print('err', file=sys.stderr)\n"
    verdict = sandbox.run(program, "say(100_000)", timeout_s=10)
    assert verdict.passed
    assert verdict.stdout == "x" * (64 << 10)
    assert verdict.stderr == "err\n"


def test_the_prelude_runs_beside_the_tests(sandbox: Sandbox) -> None:
    prelude = "def poly(x):\n    return x - 2\n"
    # The program's own poly is not the one the tests call.
    program = "def poly(x):\n    return 0\n\ndef root():\n    return 5\n"
    tests = "assert poly(root()) == 0\n"
    assert sandbox.run(program, tests, prelude=prelude).status == "failed"
    assert sandbox.run(program.replace("5", "2"), tests, prelude=prelude).passed


def test_tests_that_never_call_the_program_do_not_pass(sandbox: Sandbox) -> None:
    verdict = sandbox.run(TRIPLE, "assert 1 == 1\n", entry_points=["triple"])
    assert verdict.status == "failed"
    assert "never called" in verdict.detail


def test_shared_mode_is_for_classes_and_is_marked(sandbox: Sandbox) -> None:
    program = "class Pair:\n    def __init__(self, a):\n        self.a = a\n"
    tests = "assert Pair(3).a == 3\n"
    assert sandbox.run(program, tests).status == "failed"
    shared = sandbox.run(program, tests, mode="shared")
    assert (shared.passed, shared.integrity) == (True, "shared")
    assert sandbox.run(program, "assert Pair(3).a == 4\n", mode="shared").status == "failed"
    assert not sandbox.run("import os\nos._exit(0)\n", tests, mode="shared").passed


def test_numpy_is_there_when_a_text_names_it(sandbox: Sandbox) -> None:
    pytest.importorskip("numpy")
    program = "import numpy as np\ndef mean(v):\n    return np.mean(v)\n"
    tests = "import numpy as np\nassert np.allclose(mean([1, 2]), 1.5)\n"
    assert sandbox.run(program, tests, timeout_s=10).passed


def test_catching_everything_does_not_hide_a_crash(sandbox: Sandbox) -> None:
    tests = """
try:
    triple(2)
except BaseException:
    pass
"""
    assert sandbox.run("import os\ndef triple(x):\n    os._exit(0)\n", tests).status == "crashed"


def test_a_run_of_one_program_leaves_nothing_to_the_next(sandbox: Sandbox, level: int) -> None:
    leaving = """
import builtins, sys
builtins.left = sys.left = 1
def triple(x):
    try:
        open("left.txt", "w").close()
    except OSError:
        pass
    return 3 * x
"""
    looking = """
import builtins, os, sys
def triple(x):
    try:
        names = os.listdir(".")
    except OSError:
        names = []
    return [names, hasattr(builtins, "left"), hasattr(sys, "left")]
"""
    assert sandbox.run(leaving, TESTS).passed
    assert sandbox.run(looking, "assert triple(2) == [[], False, False]").passed


def test_a_broken_zygote_is_replaced_and_no_score(fresh: Sandbox) -> None:
    own = psutil.Process()
    zygotes = [p for p in own.children() if "start.py" in " ".join(p.cmdline())]
    running = [p for p in zygotes if p.pid == fresh._pairs[False].candidate._process.pid]
    assert len(running) == 1
    running[0].kill()
    assert fresh.run(TRIPLE, TESTS).passed


def test_a_sandbox_that_fails_twice_raises(
    fresh: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def broken(*_: object) -> None:
        attempts.append(1)
        raise SandboxError("a zygote has ended")

    monkeypatch.setattr("lightllm_evals.sandbox.sandbox.observe", broken)
    with pytest.raises(SandboxError, match=r"failed 2 times.*a zygote has ended"):
        fresh.run(TRIPLE, TESTS)
    assert len(attempts) == 2


def test_a_checker_that_ends_in_silence_is_the_sandboxs_failure(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="without a verdict"):
        sandbox.run(TRIPLE, "triple(1)\nimport os\nos._exit(0)\n")
    assert sandbox.run(TRIPLE, TESTS).passed


def test_tests_that_do_not_run_are_the_sandboxs_failure(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="do not run"):
        sandbox.run(TRIPLE, TESTS, entry_points=["triple"], prelude="raise ValueError('odd')")


def test_a_level_that_is_not_reached_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"--lightllm-min-isolation=0 \(unsafe"):
        Sandbox(min_isolation=1, max_isolation=0)
    with pytest.raises(ConfigError, match="0 to 3"):
        Sandbox(min_isolation=7)


def test_a_level_that_its_self_test_does_not_confirm_is_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Zygotes that confine nothing and claim level 2.
    start, report = zygote_process.Zygote.__init__, zygote_process.Zygote.report

    def start_unconfined(self: zygote_process.Zygote, **options: Any) -> None:
        start(self, **{**options, "max_level": 0})

    def boast(self: zygote_process.Zygote) -> dict[str, Any]:
        return {**report(self), "level": 2, "refused": {}}

    monkeypatch.setattr(zygote_process.Zygote, "__init__", start_unconfined)
    monkeypatch.setattr(zygote_process.Zygote, "report", boast)
    with pytest.raises(ConfigError, match="level 2: a confined process could read a file outside"):
        Sandbox(min_isolation=2, max_isolation=2)


def test_an_interpreter_that_does_not_start_is_told() -> None:
    with pytest.raises(SandboxError, match="no-such-python"):
        Sandbox(python="/no-such-python")
    with pytest.raises(SandboxError, match="A zygote"):
        Sandbox(python="/bin/true")


def test_a_closed_sandbox_says_so() -> None:
    sandbox = Sandbox(min_isolation=0)
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(TRIPLE, TESTS)


def test_closing_leaves_no_process_and_no_file(level: int, scratch_parent: Path) -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    try:
        sandbox = Sandbox(min_isolation=level, max_isolation=level)
    except ConfigError as error:
        pytest.skip(str(error))
    with sandbox:
        assert sandbox.run(TRIPLE, TESTS).passed
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before
    assert list(scratch_parent.iterdir()) == []


_HARNESS = """
import sys, tempfile
tempfile.tempdir = sys.argv[2]
from lightllm_evals.sandbox import Sandbox
level = int(sys.argv[1])
sandbox = Sandbox(min_isolation=level, max_isolation=level)
print("started", flush=True)
program = "def spin():\\n    while True:\\n        pass\\n"
sandbox.run(program, "spin()", timeout_s=300)
"""


def test_a_killed_harness_leaves_nothing(
    sandbox_at: Callable[[int], Sandbox], level: int, scratch_parent: Path
) -> None:
    sandbox_at(level)  # skips where the level is not offered
    harness = subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(level), str(scratch_parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert harness.stdout is not None
    with harness.stdout:
        assert harness.stdout.readline() == "started\n"
        process = psutil.Process(harness.pid)
        # Two zygotes, each with a child; at level 3 two guardians stand before each zygote.
        least = {3: 8}.get(level, 4)
        assert _eventually(lambda: len(process.children(recursive=True)) >= least)
        descendants = process.children(recursive=True)
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    assert _eventually(lambda: not [p for p in descendants if _is_alive(p)])
    assert _eventually(lambda: not list(scratch_parent.iterdir()))


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_right_answers_on_a_busy_machine_pass(sandbox_at: Callable[[int], Sandbox]) -> None:
    sandbox = sandbox_at(2)
    spinning = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        program = "def work():\n    return sum(range(1_000_000))\n"
        # About a fiftieth of the budget on an idle machine.
        verdict = sandbox.run(program, f"assert work() == {sum(range(1_000_000))}", timeout_s=5)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert verdict.passed, str(verdict)


def test_concurrent_callers_wait_for_each_other(sandbox_at: Callable[[int], Sandbox]) -> None:
    sandbox = sandbox_at(2)
    verdicts = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(sandbox.run(TRIPLE, TESTS).status))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == ["passed"] * 6


_KEYS = st.sampled_from(["r", "e", "m", "msg", "names", "shared", "status", "f", "type", "calls"])
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda j: (
        st.lists(j, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=3), j, max_size=4)
    ),
    max_leaves=12,
)
_STREAMS = st.binary(max_size=200) | st.lists(
    st.dictionaries(_KEYS, _PLAIN, max_size=4).map(frames.pack), max_size=4
).map(b"".join)


@given(stream=_STREAMS)
@settings(max_examples=60, deadline=None)
def test_no_bytes_from_a_candidate_make_the_checker_accept(
    sandbox_at: Callable[[int], Sandbox], stream: bytes
) -> None:
    sandbox = sandbox_at(2)
    program = (
        f"import os\nos.write(12, bytes.fromhex('{stream.hex()}'))\ndef answer():\n    pass\n"
    )
    verdict = sandbox.run(program, "assert answer() == 'a word nobody sends'", timeout_s=10)
    assert verdict.status in {"failed", "crashed", "output"}, str(verdict)


def test_scratch_folders_are_emptied_whatever_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    deepest = os.open(folder, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d" * 40, dir_fd=deepest)
        deeper = os.open("d" * 40, os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = deeper
    os.mkdir("locked", 0, dir_fd=deepest)
    os.close(deepest)
    (folder / "link").symlink_to("/")
    os.mkfifo(folder / "pipe")
    scratch.empty(str(folder))
    assert list(folder.iterdir()) == []


def test_a_quota_counts_at_every_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "big").write_bytes(b"x" * 100_000)
    assert scratch.is_over_quota(str(tmp_path), 50_000)
    assert not scratch.is_over_quota(str(tmp_path), 5_000_000)


def test_the_zygotes_see_no_package_and_no_variable_of_ours(
    sandbox_at: Callable[[int], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hf_secret")
    with Sandbox(min_isolation=0) as sandbox:
        verdict = sandbox.run(
            "import os, sys\ndef see():\n    return [dict(os.environ), sys.path]\n",
            "environment, path = see()\n"
            "assert 'SECRET_TOKEN' not in environment\n"
            "assert not [p for p in path if 'packages' in p or 'jail' in p]\n",
        )
    assert verdict.passed, str(verdict)
    assert "hf_secret" not in json.dumps(verdict.to_json())


def test_descriptors_of_the_harness_do_not_leak(sandbox: Sandbox) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    sandbox.run(TRIPLE, TESTS)
    before = count()
    for _ in range(20):
        sandbox.run(TRIPLE, TESTS)
    assert count() == before
