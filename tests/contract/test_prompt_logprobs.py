"""Log-probabilities of the prompt: a server mode in [A], a parameter in [B]."""

import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

Target = Any
Start = Callable[..., contextlib.AbstractContextManager[str]]
IDS = [1, 504, 3575, 282, 4649, 314]


def ask(server: Target, ids: list[int], num_top: int) -> Any:
    parameters = {"prompt_logprobs": num_top, "disable_prompt_cache": True, "max_new_tokens": 1}
    response = server.generate(ids, **parameters)
    if response.status_code == 400:
        pytest.skip("this server was not started with --enable_prompt_logprobs")
    return response.json()


def test_the_older_dialect_ignores_the_parameter(server: Target) -> None:
    if server.dialect == "b":
        pytest.skip("the newer dialect has it")
    answer = server.generate(IDS, prompt_logprobs=0).json()
    assert answer["prompt_tokens"] == len(IDS)


def test_each_prompt_token_is_scored_but_the_first(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("a server mode in the older dialect")
    answer = ask(server, IDS, 0)
    assert answer["prompt_token_ids"] == IDS
    first, *others = answer["prompt_logprobs"]
    assert first is None
    for token_id, entry in zip(IDS[1:], others, strict=True):
        assert list(entry) == [str(token_id)]
        assert entry[str(token_id)]["logprob"] <= 0
        assert entry[str(token_id)]["rank"] >= 1
        assert isinstance(entry[str(token_id)]["decoded_token"], str)


def test_the_best_candidates_are_listed_by_rank(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("a server mode in the older dialect")
    for entry in ask(server, IDS, 3)["prompt_logprobs"][1:]:
        values = list(entry.values())
        assert [value["rank"] for value in values] == [1, 2, 3]
        logprobs = [value["logprob"] for value in values]
        assert logprobs == sorted(logprobs, reverse=True)


def test_a_generated_token_is_scored_alike_as_part_of_a_prompt(server: Target) -> None:
    if server.dialect == "a" or server.backend == "simulated":
        pytest.skip("needs a model, and the newer dialect")
    (token,) = server.generate(IDS, max_new_tokens=1, return_details=True).json()["tokens"]
    last = ask(server, [*IDS, token["id"]], 0)["prompt_logprobs"][-1][str(token["id"])]
    # Batches of another shape round differently.
    assert last["logprob"] == pytest.approx(token["logprob"], abs=0.05)
    assert last["rank"] == 1


def test_a_stream_has_them_on_its_last_event(server: Target) -> None:
    if server.dialect == "a":
        pytest.skip("streams have none in the older dialect")
    ask(server, IDS, 0)
    parameters = {"prompt_logprobs": 0, "max_new_tokens": 2, "do_sample": False}
    events = server.stream("/generate_stream", {"inputs": IDS, "parameters": parameters})
    parsed = [json.loads(event.removeprefix("data:")) for event in events]
    assert "prompt_logprobs" not in parsed[0]
    assert len(parsed[-1]["prompt_logprobs"]) == len(IDS)


@pytest.mark.parametrize("num_top", [-2, 1025])
def test_a_number_out_of_range_is_refused(server: Target, num_top: int) -> None:
    if server.dialect == "a":
        pytest.skip("the older dialect ignores it")
    assert server.generate(IDS, prompt_logprobs=num_top).status_code == 400


@pytest.mark.parametrize("name", ["simulated-a", "llama-a"])
def test_the_older_server_mode_pairs_each_token_with_the_next(
    start_embedded: Start, name: str
) -> None:
    with start_embedded(name, "--return-all-prompt-logprobs") as url:
        body = {"inputs": IDS, "parameters": {"max_new_tokens": 1}}
        answer = requests.post(f"{url}/generate", json=body, timeout=120).json()
        short = requests.post(f"{url}/generate", json={**body, "inputs": [1]}, timeout=120).json()
    assert answer["prompt_token_ids"] == IDS
    pairs = [(current, list(following)) for current, following in answer["prompt_logprobs"]]
    assert pairs == [(a, [str(b)]) for a, b in itertools.pairwise(IDS)]
    assert short["prompt_logprobs"] == []
