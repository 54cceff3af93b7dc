from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lightllm_evals.errors import ConfigError, ServerDiedError, ServerStartError
from lightllm_evals.server import LaunchSpec, start_lightllm
from lightllm_evals.server.ports import is_port_free

# The class is conftest's, and nothing imports from tests.
StandIn = Any
Until = Callable[[Callable[[], object]], None]
Harness = Callable[[str], "subprocess.Popen[bytes]"]
IsAlive = Callable[[int], bool]

TUTORIAL = {
    "host": "0.0.0.0",
    "port": 1030,
    "nccl_port": 2066,
    "max_req_input_len": 4096,
    "max_req_total_len": 6144,
    "tp": 1,
    "trust_remote_code": True,
    "max_total_token_num": 120000,
}


def status_of(url: str, path: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def value_of(command: tuple[str, ...], flag: str) -> str:
    return command[command.index(f"--{flag}") + 1]


def files_of(name: str) -> list[str]:
    return [
        file.name
        for folder in ("/tmp", "/dev/shm")
        for file in Path(folder).iterdir()
        if file.name.startswith((f"_{name}_", f"{name}_"))
    ]


@pytest.mark.parametrize("generation", ["a", "b"])
def test_tutorials_server_comes_up_and_goes_with_everything(
    standin: StandIn, log_path: Path, is_alive: IsAlive, generation: str
) -> None:
    spec = standin.spec(generation, flags=TUTORIAL)
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60) as server:
        assert status_of(server.url, "/liveness") == 200
        server.poll()
        port, nccl_port = value_of(server.command, "port"), value_of(server.command, "nccl_port")
        assert server.url == f"http://127.0.0.1:{port}"
        assert value_of(server.command, "host") == "0.0.0.0"
        assert value_of(server.command, "max_total_token_num") == "120000"
        assert value_of(server.command, "model_dir") == str(standin.model_dir)
        assert [text for text in server.warnings if "--max_req_input_len" in text]
        processes = standin.members(log_path)
        assert len(processes) == 5
    assert not any(is_alive(pid) for pid in [*processes, server.pid])
    assert is_port_free(int(port))
    assert is_port_free(int(nccl_port))


@pytest.mark.parametrize("death", ["", "deaf"])
def test_no_file_of_a_2025_server_is_left_behind(
    standin: StandIn, log_path: Path, death: str
) -> None:
    spec = standin.spec("a", death)
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2) as server:
        name = f"{value_of(server.command, 'nccl_port')}_0"
        assert len(files_of(name)) == 2
    assert not files_of(name)


def test_two_servers_live_side_by_side_and_ports_are_never_reused(
    standin: StandIn, tmp_path: Path
) -> None:
    ports = []
    for generation in ("a", "b"):
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(
                    start_lightllm(
                        standin.spec(generation),
                        log_path=tmp_path / f"{number}.log",
                        start_timeout_s=60,
                        grace_s=0.2,
                    )
                )
                for number in range(2)
            ]
            ports += [value_of(server.command, "port") for server in servers]
            ports += [value_of(server.command, "nccl_port") for server in servers]
            assert all(status_of(server.url, "/health") == 200 for server in servers)
    assert len(set(ports)) == 8


def test_slow_load_is_waited_for(standin: StandIn, log_path: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    spec = standin.spec("a", "slow", STANDIN_GATE=str(gate))
    with pytest.raises(ServerStartError, match=r"not ready within 0\.9 s"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=0.9)
    gate.touch()
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60) as server:
        server.poll()


@pytest.mark.parametrize(
    ("generation", "death", "complaint", "exit_code"),
    [
        ("a", "load", "infer process error to exit", None),
        ("a", "front-end", "Worker failed to boot", None),
        ("b", "load-silently", "Critical LightLLM submodule exited", 1),
        ("b", "front-end", "Worker failed to boot|Critical LightLLM submodule exited", 1),
    ],
)
def test_failed_start_is_noticed_though_a_launcher_hangs(
    standin: StandIn,
    log_path: Path,
    is_alive: IsAlive,
    generation: str,
    death: str,
    complaint: str,
    exit_code: int | None,
) -> None:
    spec = standin.spec(generation, death)
    with pytest.raises(ServerStartError, match=complaint) as caught:
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)
    assert "--model_dir" in caught.value.command
    assert caught.value.log_tail
    assert caught.value.exit_code == exit_code
    assert not any(is_alive(pid) for pid in standin.members(log_path))


def test_silent_hang_ends_at_the_deadline_with_nothing_left(
    standin: StandIn, log_path: Path, is_alive: IsAlive
) -> None:
    spec = standin.spec("a", "load-silently")
    with pytest.raises(ServerStartError, match=r"was not ready within .*start-timeout"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=2)
    assert not any(is_alive(pid) for pid in standin.members(log_path))


def test_health_that_never_answers_ends_at_the_deadline(standin: StandIn, log_path: Path) -> None:
    spec = standin.spec("a", STANDIN_HEALTH="[null]")
    with pytest.raises(ServerStartError, match="was not ready within"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=3)
    assert "GET /health" not in log_path.read_text(encoding="utf-8")


def test_health_of_503_is_asked_again(standin: StandIn, log_path: Path) -> None:
    spec = standin.spec("a", STANDIN_HEALTH="[503, 200]")
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2):
        assert log_path.read_text(encoding="utf-8").count("GET /health") == 2


@pytest.mark.parametrize(
    ("generation", "complaint"),
    [("a", "encountered an unexpected ERROR"), ("b", "Critical LightLLM submodule exited")],
)
def test_engine_death_in_service_is_noticed(
    standin: StandIn, log_path: Path, until: Until, generation: str, complaint: str
) -> None:
    spec = standin.spec(generation)
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2) as server:
        (standin.dir / "die").touch()
        with pytest.raises(ServerDiedError, match=complaint):
            until(server.poll)


def test_deaf_launcher_and_escaped_child_are_killed(
    standin: StandIn, log_path: Path, is_alive: IsAlive
) -> None:
    spec = standin.spec("a", "deaf")
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2) as server:
        processes = standin.members(log_path)
        assert len(processes) == 6
    assert not any(is_alive(pid) for pid in [*processes, server.pid])


def test_killed_harness_takes_lightllm_and_its_files_along(
    standin: StandIn, log_path: Path, harness: Harness, until: Until, is_alive: IsAlive
) -> None:
    spec = standin.spec("a", "deaf")
    victim = harness(
        f"""
        import signal
        from pathlib import Path
        from lightllm_evals.server import LaunchSpec, start_lightllm
        spec = LaunchSpec(model_dir={spec.model_dir!r}, env={spec.env!r})
        log_path = Path({str(log_path)!r})
        server = start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2)
        Path("command").write_text(" ".join(server.command))
        Path("ready").touch()
        signal.pause()
        """
    )
    until((log_path.parent / "ready").exists)
    command = tuple((log_path.parent / "command").read_text(encoding="utf-8").split())
    processes = standin.members(log_path)
    assert all(is_alive(pid) for pid in processes)
    victim.kill()
    until(lambda: not any(is_alive(pid) for pid in processes))
    until(lambda: not files_of(f"{value_of(command, 'nccl_port')}_0"))
    assert is_port_free(int(value_of(command, "port")))


def test_interrupt_during_the_start_leaves_nothing(
    standin: StandIn, log_path: Path, harness: Harness, until: Until, is_alive: IsAlive
) -> None:
    spec = standin.spec("a", "never")
    victim = harness(
        f"""
        from pathlib import Path
        from lightllm_evals.server import LaunchSpec, start_lightllm
        spec = LaunchSpec(model_dir={spec.model_dir!r}, env={spec.env!r})
        start_lightllm(spec, log_path=Path({str(log_path)!r}), start_timeout_s=120)
        """
    )
    until(lambda: len(standin.members(log_path)) == 4)
    processes = standin.members(log_path)
    victim.send_signal(signal.SIGINT)
    until(lambda: not any(is_alive(pid) for pid in processes))
    assert victim.wait(60) != 0


def test_stolen_port_leads_to_another_one(
    standin: StandIn, log_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = standin.spec("a", "stolen-port-once")
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2) as server:
        server.poll()
    assert "another process took a port" in caplog.text


def test_port_that_the_user_insists_on_is_used(standin: StandIn, log_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    spec = standin.spec("a", server_args={"port": port, "max-total-token-num": "77"})
    with start_lightllm(spec, log_path=log_path, start_timeout_s=60, grace_s=0.2) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        assert value_of(server.command, "max_total_token_num") == "77"


def test_taken_port_that_the_user_insists_on_is_refused_before_the_start(
    standin: StandIn, log_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(ConfigError, match=f"port={port} is taken"):
            start_lightllm(
                standin.spec(server_args={"port": port}), log_path=log_path, start_timeout_s=60
            )
    assert not log_path.exists()


def test_rejected_value_shows_the_launchers_own_complaint(
    standin: StandIn, log_path: Path
) -> None:
    spec = standin.spec(flags={"tp": "two"})
    with pytest.raises(ServerStartError, match="invalid int value: 'two'") as caught:
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)
    assert caught.value.exit_code == 2


def test_interpreter_without_lightllm_is_one_sentence(tmp_path: Path, log_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no LightLLM .*--lightllm-python") as caught:
        start_lightllm(LaunchSpec(model_dir=str(tmp_path)), log_path=log_path, start_timeout_s=60)
    assert "\n" not in str(caught.value)


def test_interpreter_that_does_not_exist_is_one_sentence(tmp_path: Path, log_path: Path) -> None:
    spec = LaunchSpec(model_dir=str(tmp_path), python=str(tmp_path / "python"))
    with pytest.raises(ConfigError, match="cannot be run: No such file"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)


def test_interpreter_whose_lightllm_is_broken_says_what_to_do(
    tmp_path: Path, log_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'OSError: libcudart.so.12' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    spec = LaunchSpec(model_dir=str(tmp_path), python=str(python))
    with pytest.raises(
        ServerStartError, match=r"(?s)Run this command yourself .*--help"
    ) as caught:
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)
    assert caught.value.exit_code == 1
    assert "libcudart.so.12" in str(caught.value)


def test_missing_model_folder_is_one_sentence(tmp_path: Path, log_path: Path) -> None:
    spec = LaunchSpec(model_dir=str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone does not exist; --lightllm-model-dir"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)


def test_file_in_place_of_the_model_folder_is_one_sentence(tmp_path: Path, log_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    spec = LaunchSpec(model_dir=str(tmp_path / "model.gguf"))
    with pytest.raises(ConfigError, match="is a file; --lightllm-model-dir"):
        start_lightllm(spec, log_path=log_path, start_timeout_s=60)
