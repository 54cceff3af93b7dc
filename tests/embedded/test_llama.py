"""The real model: what the contract suite cannot see from outside."""

import contextlib
import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lightllm_evals.embedded import weights
from lightllm_evals.errors import HarnessError

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def server(start_llama: Callable[..., contextlib.AbstractContextManager[Any]]) -> Iterator[Any]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed (the extra cpu)")
    try:
        weights.ensure()
    except HarnessError as error:
        pytest.skip(f"the embedded model cannot be had here: {error}")
    with start_llama("--slots", "2", "--max-req-total-len", "512") as running:
        yield running


def load(server: Any) -> float:
    return float(server.ask("GET", "/token_load").json["current_load"])


def wait_for_load(server: Any, value: float) -> None:
    server.wait_for(lambda: load(server) == value)


def test_the_model_knows_the_capital_of_france(server: Any) -> None:
    answer = server.generate(PROMPT, do_sample=False, max_new_tokens=3).json
    assert answer["generated_text"][0].startswith(" Paris")
    assert answer["prompt_tokens"] == 6


def test_a_client_that_leaves_frees_its_slot(server: Any) -> None:
    body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 500, "ignore_eos": True}}
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(contextlib.closing(server.connect()))
            connection.request("POST", "/generate", json.dumps(body))
        wait_for_load(server, 1.0)
    wait_for_load(server, 0.0)
    # llama.cpp itself must have let go of the slots, or this would wait for 1,000 tokens.
    assert server.generate(PROMPT, max_new_tokens=1).status == 200


def test_more_requests_than_slots_are_all_answered(server: Any) -> None:
    def ask(number: int) -> Any:
        return server.generate(f"{number} is", max_new_tokens=4, ignore_eos=True).json

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert [answer["count_output_tokens"] for answer in answers] == [4] * 6


def test_characters_of_several_tokens_come_whole(server: Any) -> None:
    prompt = "🎉 你好 🎉 你好 🎉 你好 🎉 你好 🎉"
    parameters = {"do_sample": False, "max_new_tokens": 12, "return_details": True}
    answer = server.generate(prompt, **parameters).json
    text = answer["generated_text"][0]
    assert answer["count_output_tokens"] == len(answer["tokens"]) == len(answer["logprobs"])
    assert "".join(token["text"] for token in answer["tokens"]) == text
    assert "\ufffd" not in text
    assert any(token["text"] == "" for token in answer["tokens"])


def test_parts_of_characters_are_scored_in_a_prompt(server: Any) -> None:
    parameters = {"prompt_logprobs": 0, "max_new_tokens": 1, "disable_prompt_cache": True}
    answer = server.generate("你好 🎉", **parameters).json
    ids, entries = answer["prompt_token_ids"], answer["prompt_logprobs"]
    assert len(ids) == len(entries) > 4
    for token_id, entry in zip(ids[1:], entries[1:], strict=True):
        assert entry[str(token_id)]["rank"] >= 1


def test_a_minimum_hides_the_end_of_text(server: Any) -> None:
    chat = "<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n"
    parameters = {"do_sample": False, "max_new_tokens": 90, "add_special_tokens": False}
    short = server.generate(chat, **parameters).json["count_output_tokens"]
    if short > 60:
        pytest.skip("this model does not end soon enough to be held up")
    longer = server.generate(chat, **parameters, min_new_tokens=short + 3).json
    assert longer["count_output_tokens"] >= short + 3


def test_banned_tokens_are_not_generated(server: Any) -> None:
    parameters = {"do_sample": False, "max_new_tokens": 1, "return_details": True}
    (token,) = server.generate(PROMPT, **parameters).json["tokens"]
    banned = {str(token["id"]): 1}
    (other,) = server.generate(PROMPT, **parameters, logit_bias=banned).json["tokens"]
    assert other["id"] != token["id"]


def test_a_sampled_token_has_its_rank(server: Any) -> None:
    parameters = {"do_sample": True, "temperature": 3.0, "max_new_tokens": 5, "seed": 3}
    for entry in server.generate(PROMPT, **parameters).json["logprobs"]:
        (value,) = entry.values()
        assert value["rank"] >= 1


def test_sigterm_ends_it_after_its_last_answer(
    server: Any, start_llama: Callable[..., contextlib.AbstractContextManager[Any]]
) -> None:
    assert server.ready["backend"] == "llama"
    with start_llama("--slots", "1", "--max-req-total-len", "128") as own:
        with contextlib.closing(own.connect()) as connection:
            body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 40, "ignore_eos": True}}
            connection.request("POST", "/generate", json.dumps(body))
            wait_for_load(own, 1.0)
            own.process.terminate()
            answer = json.loads(connection.getresponse().read())
        process: subprocess.Popen[str] = own.process
        assert answer["count_output_tokens"] == 40
        assert process.wait(60) == 0


MULTI_BYTE = "The café is closed, 你好 🎉 again"


def scored_prompt(server: Any, text: str, **parameters: Any) -> tuple[list[int], list[Any]]:
    asked = {"prompt_logprobs": 0, "max_new_tokens": 1, "disable_prompt_cache": True}
    answer = server.generate(text, **asked, **parameters).json
    ids = answer["prompt_token_ids"]
    # By position: the string is None for positions that were not asked for.
    entries = zip(ids, answer["prompt_logprobs"], strict=True)
    return ids, [entry and entry[str(token_id)] for token_id, entry in entries]


def test_scores_from_a_position_on_are_those_of_all_positions(server: Any) -> None:
    ids, everything = scored_prompt(server, MULTI_BYTE)
    start = 4
    same_ids, late = scored_prompt(server, MULTI_BYTE, logprob_start_len=start)
    assert same_ids == ids
    assert late[:start] == [None] * start
    assert len(late[start:]) == len(everything[start:]) > 8
    for quick, full in zip(late[start:], everything[start:], strict=True):
        # Made to draw the token or not, llama.cpp tells the raw value.
        assert quick["logprob"] == pytest.approx(full["logprob"], abs=1e-3)
        assert quick["decoded_token"] == full["decoded_token"]
        assert quick["rank"] in {full["rank"], None}
        assert (quick["rank"] == 1) == (full["rank"] == 1)
    assert any(entry["rank"] > 64 for entry in everything[start:]), "no easy text"


@pytest.mark.parametrize("start", [1, 10**6])
def test_a_position_may_be_the_first_one_or_behind_the_last(server: Any, start: int) -> None:
    ids, found = scored_prompt(server, PROMPT, logprob_start_len=start)
    assert [entry is not None for entry in found] == [0 < start <= i for i in range(len(ids))]


@pytest.fixture(scope="module")
def older_server(
    server: Any, start_llama: Callable[..., contextlib.AbstractContextManager[Any]]
) -> Iterator[Any]:
    assert server.ready["dialect"] == "b"
    options = ("--dialect", "a", "--return-all-prompt-logprobs", "--slots", "2")
    with start_llama(*options, "--max-req-total-len", "512") as running:
        yield running


def test_both_dialects_tell_the_same_scores(server: Any, older_server: Any) -> None:
    ids, entries = scored_prompt(server, MULTI_BYTE)
    for start in (1, 4):
        parameters = {"max_new_tokens": 1, "logprob_start_len": start}
        answer = older_server.generate(MULTI_BYTE, **parameters).json
        assert answer["prompt_token_ids"] == ids
        assert [current for current, _ in answer["prompt_logprobs"]] == ids[:-1]
        for position, (_, following) in enumerate(answer["prompt_logprobs"], 1):
            value = following[str(ids[position])]
            if position < start:
                assert value is None
            else:
                assert value == pytest.approx(entries[position]["logprob"], abs=1e-3)
