from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from lightllm_evals.errors import ConfigError, ServerStartError
from lightllm_evals.server import start_embedded
from lightllm_evals.server.embedded import start_announcing

Python = Callable[[str], tuple[str, ...]]
Until = Callable[[Callable[[], object]], None]


def test_embedded_server_answers_until_it_is_stopped(log_path: Path) -> None:
    args = ["--backend", "simulated"]
    with start_embedded(args, log_path=log_path, start_timeout_s=60) as server:
        with urlopen(f"{server.url}/health", timeout=60) as answer:
            assert answer.status == 200
        server.poll()
    assert not psutil.pid_exists(server.pid)


def test_embedded_server_ends_when_its_guardian_is_killed(log_path: Path, until: Until) -> None:
    args = ["--backend", "simulated"]
    with start_embedded(args, log_path=log_path, start_timeout_s=60) as server:
        guardian = psutil.Process(server.pid).parent()
        assert guardian is not None
        guardian.kill()
        until(lambda: not psutil.pid_exists(server.pid))


def test_missing_model_file_is_the_embedded_servers_own_sentence(
    tmp_path: Path, log_path: Path
) -> None:
    args = ["--gguf", str(tmp_path / "gone.gguf")]
    with pytest.raises(ConfigError, match=r"gone\.gguf") as caught:
        start_embedded(args, log_path=log_path, start_timeout_s=60)
    assert "\n" not in str(caught.value)


def test_address_is_read_from_the_announcement(python: Python, log_path: Path) -> None:
    script = """
    import sys
    print("loading", flush=True)
    print('LIGHTLLM_EVALS_READY {"url": "http://127.0.0.1:9/", ', end="", flush=True)
    print('"pid": 1}', flush=True)
    signal.pause()
    """
    with start_announcing(python(script), log_path=log_path, start_timeout_s=60) as server:
        assert server.url == "http://127.0.0.1:9"
        server.poll()


def test_status_4_is_a_wrong_request_with_the_childs_own_sentence(
    python: Python, log_path: Path
) -> None:
    script = """
    import sys
    print("starting", flush=True)
    print("The model file a.gguf is corrupt; delete it.", file=sys.stderr)
    sys.exit(4)
    """
    with pytest.raises(ConfigError) as caught:
        start_announcing(python(script), log_path=log_path, start_timeout_s=60)
    assert str(caught.value) == "The model file a.gguf is corrupt; delete it."


def test_any_other_end_is_a_failed_start(python: Python, log_path: Path) -> None:
    with pytest.raises(ServerStartError, match="ended before it was ready") as caught:
        start_announcing(python("1 / 0"), log_path=log_path, start_timeout_s=60)
    assert caught.value.exit_code == 1
    assert "ZeroDivisionError" in caught.value.log_tail


def test_silent_server_is_given_up_and_ended(python: Python, log_path: Path) -> None:
    with pytest.raises(ServerStartError, match=r"not ready within 0\.3 s"):
        start_announcing(python("signal.pause()"), log_path=log_path, start_timeout_s=0.3)
