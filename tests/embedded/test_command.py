import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.embedded import main

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Any]


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_the_ready_line_says_where_and_what(start: Start) -> None:
    server = start("--dialect", "a")
    assert server.ready == {
        "url": f"http://127.0.0.1:{server.port}",
        "pid": server.process.pid,
        "dialect": "a",
        "backend": "simulated",
    }


def test_a_taken_port_is_one_sentence(run_command: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_command("--backend", "simulated", "--port", port)
    assert_one_sentence(done, port, "--port 0")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--fault", "503=maybe"], "503=maybe"),
        (["--fault", "503=0.9", "--fault", "cut=0.9"], "1.8"),
        (["--answers", "no/such/file"], "no/such/file"),
        (["--slots", "0"], "--slots"),
        (["--step-ms", "-1"], "--step-ms"),
        (["--port", "99999"], "99999"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_a_bad_option_is_named(run_command: Run, options: list[str], word: str) -> None:
    assert_one_sentence(run_command("--backend", "simulated", *options), word)


def test_a_bad_line_of_answers_is_named(run_command: Run, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": 1}\n', encoding="utf-8")
    assert_one_sentence(run_command("--backend", "simulated", "--answers", str(path)), "line 2")


def test_it_ends_when_its_parent_closes_its_input(start: Start) -> None:
    server = start()
    server.process.stdin.close()
    assert server.process.wait(60) == 0


def test_it_ends_with_its_parent_while_it_loads(run_command: Run) -> None:
    options = ["--backend", "simulated", "--start-delay", "3600", "--exit-with-parent"]
    done = run_command(*options)
    assert (done.returncode, done.stdout) == (0, "")


def test_ctrl_c_is_left_to_the_parent(start: Start) -> None:
    server = start()
    server.process.send_signal(signal.SIGINT)
    assert server.generate("x").status == 200


def test_sigterm_lets_the_request_in_flight_finish(start: Start, answers_file: Path) -> None:
    server = start("--answers", str(answers_file), "--step-ms", "30")
    with contextlib.closing(server.connect()) as connection:
        body = json.dumps({"inputs": "timed", "parameters": {}})
        connection.request("POST", "/generate", body)
        server.wait_for_stats(lambda stats: stats["in_flight"] == 1)
        server.process.terminate()
        answer = json.loads(connection.getresponse().read())
    assert answer["count_output_tokens"] == 20
    assert server.process.wait(60) == 0


def test_sigint_without_a_parent_ends_it_quietly() -> None:
    import sys

    command = [sys.executable, "-m", "lightllm_evals.embedded", "--backend", "simulated"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert "Traceback" not in process.stderr.read()


def test_the_simulated_server_imports_nothing_heavy() -> None:
    import sys

    code = (
        "import sys, lightllm_evals.embedded.command\n"
        "heavy = {'xllamacpp', 'numpy', 'requests', 'pytest', 'platformdirs'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--backend" in capsys.readouterr().out
