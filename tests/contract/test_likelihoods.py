"""Log-likelihoods of given texts, through the client, from any server that scores prompts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightllm_evals.client import Client, scoring_check
from lightllm_evals.client.prompt_logprobs import parse_prompt_logprobs
from lightllm_evals.errors import ServerError
from lightllm_evals.records import Choice, Likelihood, Request, SamplingParams, Scoring, ServerInfo

Start = Callable[..., contextlib.AbstractContextManager[str]]

PROMPT = "The capital of France is"
LONG = "The capital of France is Paris. The capital of Italy is Rome.\n\n" * 5

# Batches of another shape round differently.
CLOSE = 0.2


class Scorer:
    """A server that was probed and checked, and its client."""

    def __init__(self, client: Client, info: ServerInfo, *, is_simulated: bool) -> None:
        self.client = client
        self.info = info
        self.is_simulated = is_simulated

    def score(
        self,
        *texts: str,
        prompt: str = PROMPT,
        scoring: Scoring = "ll",
        needs_greedy: bool = False,
    ) -> tuple[Likelihood, ...]:
        choices = [Choice(context="", continuation=text, text=text) for text in texts]
        request = Request(
            id="contract",
            params=SamplingParams(max_new_tokens=1),
            prompt=prompt,
            choices=tuple(choices),
            scoring=scoring,
            needs_greedy=needs_greedy,
        )
        return self.client.complete(request).likelihoods


@pytest.fixture(scope="module")
def scorer(target_name: str, start_embedded: Start) -> Iterator[Scorer]:
    with contextlib.ExitStack() as stack:
        url = target_name
        if not target_name.startswith("http"):
            mode = ["--return-all-prompt-logprobs"] if target_name.endswith("-a") else []
            options = ("--max-req-total-len", "64", *mode)
            url = stack.enter_context(start_embedded(target_name, *options))
        client = stack.enter_context(Client(url))
        info = client.probe(wait_s=60)
        if not info.has_prompt_logprobs:
            pytest.skip("this server was not started with prompt log-probabilities")
        yield Scorer(client, info, is_simulated=target_name.startswith("simulated"))


def test_it_passes_the_known_answer_check(scorer: Scorer) -> None:
    scorer.client.check_scoring()


def test_the_check_would_find_values_kept_by_token_id(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scorer.is_simulated:
        pytest.skip("a simulated token has one value, wherever it stands")

    def by_token_id(*args: Any, **options: Any) -> Any:
        scored = parse_prompt_logprobs(*args, **options)
        last = dict(zip(scored.token_ids, scored.logprobs, strict=True))
        return dataclasses.replace(scored, logprobs=tuple(last[i] for i in scored.token_ids))

    monkeypatch.setattr(scoring_check, "parse_prompt_logprobs", by_token_id)
    with pytest.raises(ServerError, match="scores given texts wrongly"):
        scorer.client.check_scoring()


def test_choices_of_a_context_are_scored_each(scorer: Scorer) -> None:
    first, second = scorer.score(" Paris", " a kind of cheese")
    assert first.num_tokens >= 1
    assert second.num_tokens > first.num_tokens
    assert second.logprob < 0
    assert scorer.score(" a kind of cheese")[0].logprob == pytest.approx(second.logprob, abs=CLOSE)
    if not scorer.is_simulated:
        assert first.logprob > second.logprob


def test_the_parts_of_a_text_add_up(scorer: Scorer) -> None:
    (whole,) = scorer.score(" Paris.\n\nThe capital")
    (first,) = scorer.score(" Paris.")
    (rest,) = scorer.score("\n\nThe capital", prompt=f"{PROMPT} Paris.")
    assert first.num_tokens + rest.num_tokens == whole.num_tokens
    assert first.logprob + rest.logprob == pytest.approx(whole.logprob, abs=CLOSE)


def test_a_whole_text_is_scored_with_its_context(scorer: Scorer) -> None:
    (whole,) = scorer.score(" Paris", scoring="ppl-full")
    (last,) = scorer.score(" Paris")
    assert whole.num_tokens > last.num_tokens
    assert whole.logprob < last.logprob


def test_greedy_decoding_is_told_from_other_texts(scorer: Scorer) -> None:
    found = scorer.score(" Paris", " cheese", needs_greedy=True)
    if scorer.is_simulated:
        pytest.skip("every token of the simulated server is its best one")
    assert [each.is_greedy for each in found] == [True, False]


def test_a_long_text_is_scored_in_windows(scorer: Scorer) -> None:
    if scorer.info.max_req_total_len != 64:
        pytest.skip("this server takes the whole text at once")
    if not scorer.info.adds_bos:
        pytest.skip("this server's tokenizer adds no BOS token")
    (found,) = scorer.score(LONG, prompt="", scoring="rolling")
    assert found.num_tokens > 64
    # A text that repeats itself is easier than one token in a thousand.
    assert -7 * found.num_tokens < found.logprob < 0
