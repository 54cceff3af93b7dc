"""Runs that score given texts: what they ask of servers, and of those that cannot."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.runs import serving

Simulated = Callable[..., Any]
Toy = Callable[[int], None]
Answers = Callable[[int, int], dict[str, str]]
Results = Callable[[], list[dict[str, Any]]]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60

SCORED = """
from lightllm_evals import Choice, LikelihoodVariant, Sample, benchmark

def sums():
    for i in range(4):
        yield Sample(id=f"pick/{i}", fields={"q": f"{i} plus {i} is", "a": str(2 * i)})

def choices(sample):
    texts = (sample["a"], "a secret")
    return [Choice(context=sample["q"], continuation=f" {t}", text=t) for t in texts]

@benchmark("pick", samples=sums, variants={"ll": LikelihoodVariant(choices=choices)}, metric="acc")
def test_pick(sample, likelihoods):
    assert likelihoods[0].logprob > likelihoods[1].logprob
"""

PLAIN = """
def test_plain():
    assert True
"""

TINY_DATA = '''
"""The tiny files' checksums are not the registry's."""
from lightllm_evals.datasets import storage

storage.check_sum = lambda *_: None
'''

MODE = ("--dialect", "a", "--return-all-prompt-logprobs")
FLAGS_OF_2025 = (
    "--return_all_prompt_logprobs --disable_dynamic_prompt_cache --disable_chunked_prefill"
)


def refusal(result: pytest.RunResult) -> str:
    """Returns the one sentence with which pytest ended before any case ran."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in f"{result.stdout}\n{result.stderr}"
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    return line.removeprefix("ERROR: ")


@pytest.fixture
def scored(pytester: pytest.Pytester) -> None:
    """Writes a benchmark of four samples, of two choices each, into pytester's folder."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings = error\n")
    pytester.makepyfile(test_pick=SCORED)


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("options", [(), MODE])
def test_choices_are_scored_in_both_dialects(
    pytester: pytest.Pytester,
    answers: Answers,
    simulated: Simulated,
    results: Results,
    options: tuple[str, ...],
    workers: str,
) -> None:
    # Of sample 0 the wrong choice is the likely one.
    server = simulated(answers(4, 99) | {"0 plus 0 is": " a secret"}, *options)
    result = pytester.runpytest_subprocess(workers, f"--lightllm-url={server.url}", timeout=300)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*acc *75.00 %*"])
    (failed,) = [line for line in results() if line["verdict"]["outcome"] == "failed"]
    assert failed["case"]["sample"] == "pick/0"
    assert [each["num_tokens"] for each in failed["completion"]["likelihoods"]] == [1, 2]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_server_that_cannot_score_ends_piqa_in_one_sentence(
    pytester: pytest.Pytester,
    simulated: Simulated,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
) -> None:
    shutil.copy(ROOT / "evals" / "test_piqa.py", pytester.path / "test_piqa.py")
    pytester.makeconftest(TINY_DATA)
    monkeypatch.setenv("LIGHTLLM_EVALS_DATA", str(ROOT / "fixtures" / "datasets"))
    url = simulated({}, "--dialect", "a").url
    result = pytester.runpytest_subprocess(
        workers, "test_piqa.py", f"--lightllm-url={url}", timeout=300
    )
    sentence = refusal(result)
    assert sentence.startswith(f"{url} gives no log-probabilities of prompts")
    assert FLAGS_OF_2025 in sentence
    assert "-m 'not likelihood'" in sentence


@pytest.mark.usefixtures("scored")
def test_what_the_sentence_proposes_works(
    pytester: pytest.Pytester, toy: Toy, answers: Answers, simulated: Simulated
) -> None:
    toy(4)
    server = simulated(answers(4, 99) | {"0 plus 0 is": " 0"}, "--dialect", "a")
    result = pytester.runpytest_subprocess(
        f"--lightllm-url={server.url}", "-m", "not likelihood", timeout=300
    )
    result.assert_outcomes(passed=4, deselected=4)


@pytest.mark.usefixtures("scored")
def test_scores_are_judged_again_without_a_server(
    pytester: pytest.Pytester, answers: Answers, simulated: Simulated
) -> None:
    server = simulated(answers(4, 99) | {"0 plus 0 is": " 0"})
    first = pytester.runpytest_subprocess(f"--lightllm-url={server.url}", timeout=300)
    first.assert_outcomes(passed=4)
    num_requests = server.stats()["requests"]
    again = pytester.runpytest_subprocess(
        "-n2", "--lightllm-rescore", f"--lightllm-url={server.url}", timeout=300
    )
    again.assert_outcomes(passed=4)
    assert server.stats()["requests"] == num_requests


# The servers given by URL are connected to while workers start.


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when this process closes the servers that it has connected to."""
    event = threading.Event()
    close = serving.Serving.close

    def close_and_tell(self: serving.Serving) -> None:
        close(self)
        event.set()

    monkeypatch.setattr(serving.Serving, "close", close_and_tell)
    return event


def test_connections_that_no_test_needs_are_closed(
    pytester: pytest.Pytester, simulated: Simulated, closed: threading.Event
) -> None:
    pytester.makepyfile(test_plain=PLAIN)
    server = simulated({})
    result = pytester.runpytest_inprocess("-n2", f"--lightllm-url={server.url}")
    result.assert_outcomes(passed=1)
    assert closed.wait(DEADLINE_S)
    assert "lightllm:" not in str(result.stdout)
    assert not (pytester.path / ".lightllm-evals").exists()


def test_a_server_that_is_not_there_does_not_matter_to_other_tests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_plain=PLAIN)
    result = pytester.runpytest_subprocess("-n2", "--lightllm-url=http://127.0.0.1:9", timeout=300)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert "127.0.0.1:9" not in f"{result.stdout}{result.stderr}"


@pytest.mark.usefixtures("scored")
def test_nothing_is_asked_to_list_cases(pytester: pytest.Pytester, simulated: Simulated) -> None:
    server = simulated({})
    result = pytester.runpytest_subprocess(
        "-n2", "--collect-only", "-q", f"--lightllm-url={server.url}", timeout=300
    )
    assert result.ret == 0
    assert server.stats()["requests"] == 0


# Servers that we start.


@pytest.mark.parametrize(
    ("generation", "flags"),
    [
        (
            "a",
            {
                "return_all_prompt_logprobs",
                "disable_dynamic_prompt_cache",
                "disable_chunked_prefill",
            },
        ),
        ("b", {"enable_prompt_logprobs"}),
    ],
)
@pytest.mark.parametrize("scores", [True, False])
def test_a_server_that_we_start_gets_the_flags_of_its_version_if_texts_are_scored(
    pytester: pytest.Pytester,
    toy: Toy,
    monkeypatch: pytest.MonkeyPatch,
    generation: str,
    flags: set[str],
    scores: bool,
) -> None:
    toy(1)
    if scores:
        pytester.makepyfile(test_pick=SCORED)
    for folder in ("model", "standin"):
        pytester.mkdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "server" / "standin"))
    monkeypatch.setenv("STANDIN_GENERATION", generation)
    monkeypatch.setenv("STANDIN_DIR", str(pytester.path / "standin"))
    result = pytester.runpytest_subprocess(
        "-n0",
        f"--lightllm-model-dir={pytester.path / 'model'}",
        "--lightllm-run-dir=run",
        timeout=300,
    )
    # It holds no model: the probe ends the run, but it was started.
    assert "does not look like a LightLLM server" in refusal(result)
    log = (pytester.path / "run" / "server-0.log").read_text(encoding="utf-8")
    (line,) = [line for line in log.splitlines() if "all start args" in line]
    is_on = {name for name in flags if f"{name}=True" in line}
    assert is_on == (flags if scores else set())
