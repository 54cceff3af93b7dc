"""``lightllm-evals show``: what would be sent, without a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Nobody listens there.
NOWHERE = "--lightllm-url=http://127.0.0.1:9"
SCORED = """
from lightllm_evals import Choice, LikelihoodVariant, Sample, benchmark

def choices(sample):
    context = f"Q: {sample['q']}\\nA:"
    return [Choice(context=context, continuation=f" {x}", text=x) for x in ("yes", "no")]

def samples():
    return [Sample(id="one", fields={"q": "Is it?"})]

@benchmark("scored", samples=samples, variants={"ll": LikelihoodVariant(choices=choices)})
def test_scored(likelihoods):
    pass
"""


@pytest.fixture
def show(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    script = Path(sys.executable).with_name("lightllm-evals")
    return lambda *args: pytester.run(script, "show", *args, timeout=300)


def test_a_text_is_shown_with_all_that_is_sent(
    toy: Callable[[int], None], show: Callable[..., pytest.RunResult]
) -> None:
    toy(6)
    result = show("test_toy.py::test_toy[toy/4]", NOWHERE, "--lightllm-param=temperature=0.5")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "test_toy.py::test_toy[[]toy/4]",
            "  form        toy (default)",
            "  profile     none",
            "  api         generate",
            "  parameters  max_new_tokens=8, do_sample=True, temperature=0.5, *",
            "  stop texts  none",
            "----- prompt -----",
            "4 plus 4 is",
            "----- end -----",
        ]
    )


def test_a_template_is_shown_as_rendered_and_a_chat_as_turns(
    pytester: pytest.Pytester, toy: Callable[[int], None], show: Callable[..., pytest.RunResult]
) -> None:
    toy(6)
    path = pytester.path / "mine.toml"
    path.write_text("chat_template = 'chatml'\nsystem_prompt = 'Be brief.'\n", encoding="utf-8")
    result = show("test_toy.py::test_toy[toy/4]", NOWHERE, "--lightllm-profile=./mine.toml")
    result.stdout.fnmatch_lines(
        [
            "----- prompt -----",
            "<|im_start|>system",
            "Be brief.<|im_end|>",
            "<|im_start|>user",
            "4 plus 4 is<|im_end|>",
            "<|im_start|>assistant",
        ],
        consecutive=True,
    )
    result = show("test_toy.py::test_toy[toy/4]", NOWHERE, "--lightllm-api=chat")
    result.stdout.fnmatch_lines(["----- user -----", "4 plus 4 is"], consecutive=True)


def test_scored_texts_are_shown_with_the_space_before_them(
    pytester: pytest.Pytester, show: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(test_scored=SCORED)
    result = show("test_scored.py", NOWHERE)
    result.stdout.fnmatch_lines(
        [
            "----- context of every choice -----",
            "Q: Is it?",
            "A:",
            "----- choice 1 -----",
            "' yes'",
            "----- choice 2 -----",
            "' no'",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["test_toy.py::test_toy[7]"], "*has no sample '7' among the 6 of this run; it has, *"),
        (["test_toy.py::test_none[0]"], "*names no sample of a benchmark (not found: *"),
        (["none.py"], "*names no sample of a benchmark (file or directory not found: none.py)*"),
        (["test_toy.py", "--lightllm-limt=1"], "unrecognized arguments: --lightllm-limt=1"),
        (["test_toy.py", "--lightllm-variant=toy=x"], "toy has no variant 'x'; it has default."),
        (["test_toy.py", "--lightllm-profile=x"], "There is no profile 'x'*"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    toy: Callable[[int], None],
    show: Callable[..., pytest.RunResult],
    args: list[str],
    said: str,
) -> None:
    toy(6)
    result = show(*args, NOWHERE)
    assert (result.ret, result.outlines) == (4, [])
    assert len(result.errlines) == 1
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


def test_without_arguments_it_says_how_it_is_used(show: Callable[..., pytest.RunResult]) -> None:
    result = show()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["usage: lightllm-evals show NODE_ID...*"])
