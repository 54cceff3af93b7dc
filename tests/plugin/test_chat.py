"""Chats that we render, and completions that begin with thinking, from profile to score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NUM = 6
CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def profile(pytester: pytest.Pytester) -> Callable[[str], str]:
    """Writes a profile into pytester's folder and returns the option that names it."""

    def write(text: str) -> str:
        folder = pytester.path / "fixtures" / "profiles"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.toml").write_text(text, encoding="utf-8")
        return "--lightllm-profile=mine"

    return write


def question(number: int) -> str:
    return f"{number} plus {number} is"


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_template_of_ours_is_what_the_server_sees(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    profile: Callable[[str], str],
    results: Callable[[], list[dict[str, Any]]],
    distribution: str,
) -> None:
    toy(NUM)
    known = {CHATML.format(question(i)): str(2 * i) for i in range(NUM)}
    server = simulated(known)
    option = profile("chat_template = 'internlm2'\n[request]\nstop_sequences = ['<|im_end|>']")
    result = pytester.runpytest_subprocess(
        distribution, option, f"--lightllm-url={server.url}", timeout=300
    )
    result.assert_outcomes(passed=NUM)
    seen = server.stats()["prompts_seen"]
    assert {prompt: seen[prompt] for prompt in known} == dict.fromkeys(known, 1)
    requests = [each["case"]["request"] for each in results()]
    assert {request["api"] for request in requests} == {"generate"}
    assert all(request["params"]["add_special_tokens"] for request in requests)


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
@pytest.mark.parametrize(
    ("text", "option", "said"),
    [
        ("chat_template = 'chatml'", "--lightllm-api=chat", "*chatml is rendered here, and api*"),
        ("chat_template = 'llama-3'", "-q", "*llama-3 writes bos_token, and the profile does*"),
        ("chat_template = 'none'", "-q", "*There is no chat template 'none'*there are chatml,*"),
        ("system_prompt = 'Be brief.'", "-q", "*system_prompt has no place*"),
        (
            "chat_template = 'llama-2'\nbos_token = '<s>'\neos_token = '</s>'",
            "--lightllm-param=add_special_tokens=true",
            "*llama-2 writes BOS, and add_special_tokens = true*",
        ),
    ],
)
def test_what_makes_no_sense_ends_the_run_with_a_sentence(
    pytester: pytest.Pytester,
    toy: Callable[[int], None],
    profile: Callable[[str], str],
    distribution: str,
    text: str,
    option: str,
    said: str,
) -> None:
    toy(NUM)
    result = pytester.runpytest_subprocess(
        distribution, profile(text), option, "--lightllm-url=http://127.0.0.1:9", timeout=300
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_one_prompt_that_is_rendered_already_ends_the_run(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    profile: Callable[[str], str],
    distribution: str,
) -> None:
    toy(NUM)
    path = pytester.path / "test_toy.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(
        source.replace('f"{i} plus', '"<|im_start|>user" * (i == 4) + f"{i} plus'),
        encoding="utf-8",
    )
    result = pytester.runpytest_subprocess(
        distribution,
        profile("chat_template = 'chatml'"),
        f"--lightllm-url={simulated({}).url}",
        timeout=300,
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: toy (default), sample toy/4: A user turn already has*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_thinking_is_removed_counted_and_kept_in_the_record(
    pytester: pytest.Pytester,
    simulated: Callable[..., Any],
    toy: Callable[[int], None],
    profile: Callable[[str], str],
    results: Callable[[], list[dict[str, Any]]],
    distribution: str,
) -> None:
    toy(NUM)
    whole = {
        0: "0",
        1: "<think>1 + 1</think>\n\n2",
        2: "2 + 2 is\n</think>\n4",
        3: "<think>3</think><think>3 + 3</think>6",
        4: "<think>8, or is it",
        5: "<think>10</think>9",
    }
    server = simulated({CHATML.format(question(i)): text for i, text in whole.items()})
    result = pytester.runpytest_subprocess(
        distribution,
        profile("chat_template = 'chatml'\n[request]\nmax_new_tokens = 64\n[reasoning]"),
        f"--lightllm-url={server.url}",
        timeout=300,
    )
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*thinking*6 blocks removed, 1 never closed"])
    found = {each["case"]["sample"]: each for each in results()}
    assert {name: each["completion"]["text"] for name, each in found.items()} == {
        f"toy/{i}": text for i, text in whole.items()
    }
    verdicts = [found[f"toy/{i}"]["verdict"] for i in range(NUM)]
    assert [verdict["num_think_blocks"] for verdict in verdicts] == [0, 1, 1, 2, 1, 1]
    assert [verdict["is_think_unclosed"] for verdict in verdicts].index(True) == 4
    assert verdicts[4]["detail"].startswith("'' is not 8")
