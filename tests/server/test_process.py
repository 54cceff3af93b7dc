from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lightllm_evals.errors import ServerDiedError, ServerError, ServerStartError
from lightllm_evals.server import ServerProcess

Python = Callable[[str], tuple[str, ...]]
Until = Callable[[Callable[[], object]], None]
Harness = Callable[[str], "subprocess.Popen[bytes]"]
IsAlive = Callable[[int], bool]

SLEEP = "print('up', flush=True)\nsignal.pause()"

# A launcher that ignores SIGTERM, with a child in a session of its own and an orphan of an
# orphan; it writes down who they are.
STUBBORN_FAMILY = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)

def spawn(depth):
    if os.fork():
        return
    os.setsid()
    signal.alarm(120)
    if depth:
        spawn(depth - 1)
        os._exit(0)
    os.write(1, f"member {os.getpid()}\\n".encode())
    while True:
        signal.pause()

spawn(0)
spawn(2)
os.write(1, f"member {os.getpid()}\\n".encode())
while True:
    signal.pause()
"""


def members(log_path: Path) -> list[int]:
    if not log_path.exists():
        return []
    lines = log_path.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("member ")]


def has_started(log_path: Path) -> bool:
    return log_path.exists() and "up\n" in log_path.read_text(encoding="utf-8")


def test_stop_ends_the_server_by_sigterm_and_twice_is_once(
    python: Python, log_path: Path, is_alive: IsAlive
) -> None:
    script = """
    import sys
    def end(number, frame):
        print("got SIGTERM", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    print("up", flush=True)
    while True:
        signal.pause()
    """
    server = ServerProcess(python(script), log_path=log_path)
    server.wait_until(lambda: has_started(log_path), 60)
    server.stop()
    server.stop()
    assert "got SIGTERM" in log_path.read_text(encoding="utf-8")
    assert not is_alive(server.pid)


def test_leaving_the_context_ends_the_server(
    python: Python, log_path: Path, is_alive: IsAlive
) -> None:
    with ServerProcess(python(SLEEP), log_path=log_path) as server:
        assert is_alive(server.pid)
        server.poll()
    assert not is_alive(server.pid)
    with pytest.raises(ServerStartError, match="ended before it was ready"):
        server.poll()


def test_stop_kills_children_that_changed_session_and_orphans(
    python: Python, log_path: Path, until: Until, is_alive: IsAlive
) -> None:
    with ServerProcess(python(STUBBORN_FAMILY), log_path=log_path, grace_s=0.2) as server:
        server.wait_until(lambda: len(members(log_path)) == 3, 60)
        family = members(log_path)
        assert all(is_alive(pid) for pid in family)
    assert not any(is_alive(pid) for pid in family)


def test_killed_harness_takes_the_whole_family_along(
    harness: Harness, log_path: Path, until: Until, is_alive: IsAlive, python: Python
) -> None:
    victim = harness(
        f"""
        import signal
        from pathlib import Path
        from lightllm_evals.server import ServerProcess
        command, log_path = {python(STUBBORN_FAMILY)!r}, Path({str(log_path)!r})
        server = ServerProcess(command, log_path=log_path, grace_s=0.2)
        signal.pause()
        """
    )
    until(lambda: len(members(log_path)) == 3)
    family = members(log_path)
    victim.kill()
    until(lambda: not any(is_alive(pid) for pid in family))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_harness_leaves_nothing(
    harness: Harness,
    log_path: Path,
    until: Until,
    is_alive: IsAlive,
    python: Python,
    number: signal.Signals,
) -> None:
    victim = harness(
        f"""
        import signal
        from pathlib import Path
        from lightllm_evals.server import ServerProcess
        with ServerProcess({python(SLEEP)!r}, log_path=Path({str(log_path)!r})) as server:
            Path("pid").write_text(str(server.pid))
            server.wait_until(lambda: False, 120)
        """
    )
    until(lambda: has_started(log_path))
    pid = int((log_path.parent / "pid").read_text(encoding="utf-8"))
    victim.send_signal(number)
    victim.wait(60)
    until(lambda: not is_alive(pid))


def test_interrupt_of_the_terminal_does_not_reach_the_server(
    python: Python, log_path: Path
) -> None:
    with ServerProcess(python(SLEEP), log_path=log_path) as server:
        server.wait_until(lambda: has_started(log_path), 60)
        guardian = psutil.Process(server.pid).parent()
        assert guardian is not None
        guardian.send_signal(signal.SIGINT)
        assert os.getsid(server.pid) == server.pid
        server.poll()


def test_killed_guardian_is_noticed_and_the_server_still_ended(
    python: Python, log_path: Path, until: Until, is_alive: IsAlive
) -> None:
    with ServerProcess(python(SLEEP), log_path=log_path) as server:
        server.wait_until(lambda: has_started(log_path), 60)
        guardian = psutil.Process(server.pid).parent()
        assert guardian is not None
        guardian.kill()
        with pytest.raises(ServerDiedError, match="guards the server was killed"):
            until(server.poll)
    until(lambda: not is_alive(server.pid))


def test_exit_before_ready_carries_command_code_and_log(python: Python, log_path: Path) -> None:
    command = python("print('no luck'); raise SystemExit(3)")
    with (
        ServerProcess(command, log_path=log_path) as server,
        pytest.raises(ServerStartError) as caught,
    ):
        server.wait_until(lambda: False, 60)
    assert caught.value.exit_code == 3
    assert caught.value.command == command
    assert caught.value.log_tail == "no luck"
    assert str(log_path) in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_exit_in_service_is_a_death(python: Python, log_path: Path, until: Until) -> None:
    with ServerProcess(python("import sys; sys.exit(1)"), log_path=log_path) as server:
        server.wait_until(lambda: True, 60)
        with pytest.raises(ServerDiedError, match="ended while it served") as caught:
            until(server.poll)
    assert caught.value.exit_code == 1


def test_children_of_a_launcher_that_died_are_ended_at_once(
    python: Python, log_path: Path, until: Until, is_alive: IsAlive
) -> None:
    with ServerProcess(python(STUBBORN_FAMILY), log_path=log_path) as server:
        server.wait_until(lambda: len(members(log_path)) == 3, 60)
        psutil.Process(server.pid).kill()
        until(lambda: not any(is_alive(pid) for pid in members(log_path)))
        with pytest.raises(ServerDiedError):
            server.poll()


def test_failure_line_ends_the_wait_though_the_process_lives(
    python: Python, log_path: Path
) -> None:
    script = "print('E model_rpc.py infer process error to exit', flush=True)\nsignal.pause()"
    with (
        ServerProcess(python(script), log_path=log_path) as server,
        pytest.raises(ServerStartError, match=r"its log says: E model_rpc\.py infer process"),
    ):
        server.wait_until(lambda: False, 60)


def test_wait_ends_at_its_deadline(python: Python, log_path: Path) -> None:
    with (
        ServerProcess(python(SLEEP), log_path=log_path) as server,
        pytest.raises(ServerStartError, match=r"was not ready within 0\.1 s"),
    ):
        server.wait_until(lambda: False, 0.1)


def test_program_that_does_not_exist_is_named(log_path: Path) -> None:
    with pytest.raises(
        ServerStartError, match=r"cannot be started: No such file .*no-such-python"
    ):
        ServerProcess(("no-such-python",), log_path=log_path)


def test_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match="cannot be written: Is a directory"):
        ServerProcess((sys.executable,), log_path=tmp_path)


def test_names_of_another_instance_are_not_inherited(
    python: Python, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTLLM_UNIQUE_SERVICE_NAME_ID", "theirs")
    monkeypatch.setenv("LIGHTLLM_START_ARGS", "theirs")
    monkeypatch.setenv("LIGHTLLM_LOG_LEVEL", "info")
    # Whoever runs the tests may have set names of ours.
    for name in [name for name in os.environ if name.startswith("LIGHTLLM_EVALS")]:
        monkeypatch.delenv(name)
    script = "print([n for n in sorted(os.environ) if n.startswith('LIGHTLLM')], os.environ['X'])"
    with (
        ServerProcess(python(script), log_path=log_path, env={"X": "1"}) as server,
        pytest.raises(ServerStartError) as caught,
    ):
        server.wait_until(lambda: False, 60)
    assert caught.value.log_tail == "['LIGHTLLM_LOG_LEVEL'] 1"


def test_port_that_somebody_else_took_is_reported_after_the_end(
    python: Python, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightllm_evals.server.process._PORT_RELEASE_S", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = ServerProcess(python(SLEEP), log_path=log_path, url=f"http://127.0.0.1:{port}")
        server.wait_until(lambda: True, 60)
        with pytest.raises(ServerError, match=f"something else holds its port {port}"):
            server.stop()
