"""The known answer: servers that score rightly pass, all others are told what they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lightllm_evals.client import Client
from lightllm_evals.errors import RequestTimeoutError, ServerError, ServerUnreachableError
from lightllm_evals.records import ServerInfo

# The class is conftest's, and nothing imports from tests.
Scorer = Any
Serve = Callable[..., Any]
Connect = Callable[..., Client]
Check = Callable[..., None]
Answer = dict[str, Any]

FLAGS = {
    "a": "--return_all_prompt_logprobs --disable_dynamic_prompt_cache --disable_chunked_prefill",
    "b": "--enable_prompt_logprobs",
}


@pytest.fixture
def check(scorer: Scorer, serve: Serve, connect: Connect) -> Check:
    """Checks the server, as a client that has probed it."""

    def run(**options: Any) -> None:
        url = serve(scorer).url
        info = ServerInfo(
            url=url,
            dialect=scorer.dialect,
            model_name="made-up",
            has_prompt_logprobs=scorer.has_mode,
            has_logprob_start=scorer.has_start,
        )
        connect(url, info=info, **options).check_scoring()

    return run


def values_of(answer: Answer) -> list[Any]:
    """The objects of an answer that hold a value, with its key."""
    ids, items = answer["prompt_token_ids"], answer["prompt_logprobs"]
    if len(items) == len(ids):
        return [(item[str(i)], "logprob", i) for i, item in zip(ids[1:], items[1:], strict=True)]
    return [(item[1], str(i), i) for i, item in zip(ids[1:], items, strict=True)]


def constant(answer: Answer) -> None:
    for holder, key, _ in values_of(answer):
        holder[key] = -1.0


def all_zero(answer: Answer) -> None:
    for holder, key, _ in values_of(answer):
        holder[key] = 0.0
    for token in answer.get("tokens", []):
        token["logprob"] = 0.0


def by_token_id(answer: Answer) -> None:
    found = values_of(answer)
    last = {token_id: holder[key] for holder, key, token_id in found}
    for holder, key, token_id in found:
        holder[key] = last[token_id]


def shifted(answer: Answer) -> None:
    found = values_of(answer)
    numbers = [holder[key] for holder, key, _ in found]
    for (holder, key, _), number in zip(found, [-1.0, *numbers[:-1]], strict=True):
        holder[key] = number


def not_a_number(answer: Answer) -> None:
    holder, key, _ = values_of(answer)[-1]
    holder[key] = float("nan")


@pytest.mark.parametrize("is_tgi", [True, False])
@pytest.mark.parametrize("has_start", [True, False])
def test_a_server_that_scores_rightly_passes(
    has_start: bool, is_tgi: bool, scorer: Scorer, check: Check
) -> None:
    scorer.has_start, scorer.is_tgi = has_start, is_tgi
    check()
    assert len(scorer.calls) == 3


def test_kernels_may_round_differently(scorer: Scorer, check: Check) -> None:
    def round_off(answer: Answer) -> None:
        for holder, key, _ in values_of(answer):
            holder[key] = min(holder[key] + 0.04, 0.0)

    scorer.bend = round_off
    check()


@pytest.mark.parametrize("bend", [constant, all_zero, by_token_id, shifted])
def test_wrong_values_are_found_out_with_the_flags_that_help(
    bend: Callable[[Answer], None], scorer: Scorer, check: Check
) -> None:
    scorer.bend = bend
    with pytest.raises(ServerError, match="scores given texts wrongly") as caught:
        check()
    assert FLAGS[scorer.dialect] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_by_token_id_are_found_out_where_the_model_is_sure(
    scorer: Scorer, check: Check
) -> None:
    sure = scorer.logprob
    scorer.logprob = lambda prefix, token_id: sure(prefix, token_id) / 3
    check()
    scorer.bend = by_token_id
    with pytest.raises(ServerError, match="scores given texts wrongly"):
        check()


def test_a_server_without_the_mode_is_told_its_flags(scorer: Scorer, check: Check) -> None:
    scorer.has_mode = False
    with pytest.raises(ServerError, match="gives no log-probabilities of prompts") as caught:
        check()
    assert FLAGS[scorer.dialect] in str(caught.value)
    assert "-m 'not likelihood'" in str(caught.value)
    assert not scorer.calls


def test_a_value_that_a_cache_hides_is_found_out(scorer: Scorer, check: Check) -> None:
    def hide(answer: Answer) -> None:
        for holder, key, _ in values_of(answer)[:-4]:
            holder[key] = 0.0
            if "rank" in holder:
                holder["rank"] = None

    scorer.bend = hide
    with pytest.raises(ServerError, match="--disable_dynamic_prompt_cache"):
        check()


def no_tokens(answer: Answer) -> None:
    answer.pop("tokens", None)


def no_logprob(answer: Answer) -> None:
    for token in answer.get("tokens", []):
        del token["logprob"]


def no_id(answer: Answer) -> None:
    for token in answer.get("tokens", []):
        token["id"] = None


@pytest.mark.parametrize(
    ("bend", "match"),
    [
        (not_a_number, "position .* is nan"),
        (no_tokens, "lists no tokens"),
        (no_logprob, "a generated token has no log-probability"),
        (no_id, "a generated token has no log-probability"),
        (lambda answer: answer["prompt_token_ids"].append(7), "position|log-probabilities for"),
        (lambda answer: answer.clear(), "no prompt log-probabilities"),
    ],
)
def test_an_answer_that_cannot_be_compared_is_one_sentence(
    bend: Callable[[Answer], object], match: str, scorer: Scorer, check: Check
) -> None:
    scorer.bend = bend
    with pytest.raises(ServerError, match=match) as caught:
        check()
    assert str(caught.value).startswith("http://127.0.0.1:")
    assert "cannot score given texts: " in str(caught.value)


def test_a_refusal_is_passed_on(scorer: Scorer, check: Check) -> None:
    scorer.interruptions = [lambda exchange: scorer.refuse(exchange, "not today")]
    with pytest.raises(ServerError, match=r"/generate answered 4\d\d: not today"):
        check()


def test_a_busy_server_is_asked_again(scorer: Scorer, check: Check) -> None:
    scorer.interruptions = [lambda exchange: exchange.reply({}, status=503)]
    check()
    assert len(scorer.calls) == 4


def test_a_server_that_hangs_is_no_wrong_server(scorer: Scorer, check: Check) -> None:
    scorer.interruptions = [lambda exchange: exchange.hang()]
    with pytest.raises(RequestTimeoutError):
        check(request_timeout_s=0.3)


def test_a_server_that_is_gone_is_no_wrong_server(dead_url: str, connect: Connect) -> None:
    info = ServerInfo(url=dead_url, dialect="a", model_name="m", has_prompt_logprobs=True)
    with pytest.raises(ServerUnreachableError):
        connect(dead_url, info=info).check_scoring()


def test_a_server_is_probed_before_it_is_checked(dead_url: str, connect: Connect) -> None:
    with pytest.raises(ValueError, match="probe the server first"):
        connect(dead_url).check_scoring()
