from __future__ import annotations

from pathlib import Path

import pytest

from lightllm_evals.server.log_watch import LogWatch, find_failure, is_port_taken, log_tail


@pytest.fixture
def recordings(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.rootpath.parent / "shared" / "lightllm-recordings"
    if not folder.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    return folder


@pytest.mark.parametrize("file", ["log-a-clean-start-and-sigterm.txt", "log-b-start-and-stop.txt"])
@pytest.mark.parametrize("is_serving", [True, False])
def test_log_of_a_good_server_shows_no_failure(
    recordings: Path, file: str, is_serving: bool
) -> None:
    lines = (recordings / file).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if find_failure(line, is_serving=is_serving)] == []


@pytest.mark.parametrize(
    ("file", "is_serving", "said"),
    [
        ("log-a-load-failure-launcher-hangs.txt", False, "infer process error to exit"),
        ("log-a-engine-dies-in-service.txt", True, "Batch prefill encountered"),
    ],
)
def test_log_of_a_failed_server_shows_it(
    recordings: Path, file: str, is_serving: bool, said: str
) -> None:
    lines = (recordings / file).read_text(encoding="utf-8").splitlines()
    failures = [line for line in lines if find_failure(line, is_serving=is_serving)]
    assert said in failures[0]


@pytest.mark.parametrize(
    "line",
    [
        "AssertionError: need add --disable_dynamic_prompt_cache",
        "EOFError",
        "ERROR port 1030 has been used",
        "OSError: [Errno 98] Address already in use",
        "[ERROR] Worker failed to boot.",
        "Critical LightLLM submodule exited",
    ],
)
def test_documented_line_fails_a_start(line: str) -> None:
    assert find_failure(line, is_serving=False)


def test_assertion_about_one_request_does_not_fail_a_serving_server() -> None:
    assert not find_failure("AssertionError", is_serving=True)


def test_taken_port_is_told_from_other_failures() -> None:
    assert is_port_taken("OSError: [Errno 98] Address already in use")
    assert is_port_taken("port 8000 has been used")
    assert not is_port_taken("FileNotFoundError: model.safetensors")


def test_watch_returns_each_complete_line_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    watch = LogWatch(path)
    assert watch.new_lines() == []
    with path.open("wb", buffering=0) as log:
        log.write(b"one\ntw")
        assert watch.new_lines() == ["one"]
        log.write("ö\nthree".encode())
        assert watch.new_lines() == ["twö"]
        assert watch.new_lines() == []
        log.write(b"\n\xff\n")
        assert watch.new_lines() == ["three", "\ufffd"]


def test_tail_is_short_narrow_and_without_colours(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("gone\n\n\x1b[32mGET\x1b[0m\n" + "x" * 50 + "\n", encoding="utf-8")
    assert log_tail(path, num_lines=2, max_width=10) == "GET\nxxxxxxx..."


def test_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "none") == ""
