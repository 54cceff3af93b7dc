"""Log-likelihoods of given texts, asked of a server whose model is known."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightllm_evals.client import Client
from lightllm_evals.client.rolling import windows
from lightllm_evals.errors import (
    BadResponseError,
    ConfigError,
    PromptTooLongError,
    RequestCancelledError,
    RequestRejectedError,
    RequestTimeoutError,
    ServerUnreachableError,
)
from lightllm_evals.records import (
    Choice,
    Completion,
    Request,
    SamplingParams,
    Scoring,
    ServerInfo,
)

# The class is conftest's, and nothing imports from tests.
Scorer = Any
Serve = Callable[..., Any]
Connect = Callable[..., Client]
Score = Callable[..., Completion]

CONTEXT = "Question: what is it?\nAnswer:"
LONG = "one two three, four five\n\nsix seven. Eight nine ten eleven twelve " * 4


def request(
    *continuations: str,
    prompt: str = CONTEXT,
    contexts: tuple[str, ...] = (),
    scoring: Scoring = "ll",
    adds: bool = True,
    needs_greedy: bool = False,
) -> Request:
    pairs = zip(contexts or ("",) * len(continuations), continuations, strict=True)
    return Request(
        id="case[1]",
        params=SamplingParams(max_new_tokens=1, add_special_tokens=adds),
        prompt=prompt,
        choices=tuple(Choice(context=c, continuation=text, text=text) for c, text in pairs),
        scoring=scoring,
        needs_greedy=needs_greedy,
    )


def info_of(scorer: Scorer, url: str) -> ServerInfo:
    return ServerInfo(
        url=url,
        dialect=scorer.dialect,
        model_name="made-up",
        adds_bos=scorer.has_bos,
        max_req_total_len=scorer.limit,
        is_tgi=scorer.is_tgi,
        has_prompt_logprobs=True,
        has_logprob_start=scorer.has_start,
    )


@pytest.fixture
def score(scorer: Scorer, serve: Serve, connect: Connect) -> Score:
    """Sends a request to the server, as a client that has probed it."""
    url = serve(scorer).url

    def send(asked: Request, **options: Any) -> Completion:
        return connect(url, info=info_of(scorer, url), **options).complete(asked)

    return send


@pytest.mark.parametrize("has_bos", [True, False])
@pytest.mark.parametrize("has_start", [True, False])
def test_a_continuation_is_scored_behind_its_context(
    has_bos: bool, has_start: bool, scorer: Scorer, score: Score
) -> None:
    scorer.has_bos, scorer.has_start = has_bos, has_start
    found = score(request(" a cake", " the end of it"))
    start = len(scorer.encode(CONTEXT, adds=True))
    for text, likelihood in zip((" a cake", " the end of it"), found.likelihoods, strict=True):
        ids = scorer.encode(CONTEXT + text, adds=True)
        assert likelihood.logprob == pytest.approx(scorer.value(ids, start))
        assert likelihood.num_tokens == len(ids) - start
        assert likelihood.is_greedy is None
    assert (found.text, found.output_tokens, found.finish_reason) == ("", 0, "scored")
    assert (found.attempts, found.prompt_tokens) == (1, 2 * start + 2 + 4)
    # The context, which the choices share, is counted once.
    assert [path for path, _ in scorer.calls] == ["/tokens", "/generate", "/generate"]
    starts = [body["parameters"].get("logprob_start_len") for _, body in scorer.calls[1:]]
    assert starts == [start if has_start else None] * 2


def test_trailing_spaces_of_a_context_belong_to_the_continuation(
    scorer: Scorer, score: Score
) -> None:
    (spaced,) = score(request("cake", prompt="It is a ")).likelihoods
    (plain,) = score(request(" cake", prompt="It is a")).likelihoods
    assert spaced == plain
    assert spaced.num_tokens == 1
    assert [body["text"] for path, body in scorer.calls if path == "/tokens"] == ["It is a"] * 2


def test_contexts_of_their_own_go_on_where_the_prompt_ends(scorer: Scorer, score: Score) -> None:
    found = score(request(" end", " end", prompt="It is ", contexts=("one", "another")))
    for context, likelihood in zip(("It is one", "It is another"), found.likelihoods, strict=True):
        ids = scorer.encode(f"{context} end", adds=True)
        assert likelihood.logprob == pytest.approx(scorer.value(ids, len(ids) - 1))


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (request("def", prompt="abc"), "'def' adds no token to its context"),
        (request(""), "there is no token to score"),
        (request("", prompt="", scoring="rolling"), "there is no token to score"),
    ],
)
def test_a_continuation_without_a_token_is_refused(
    asked: Request, match: str, score: Score
) -> None:
    with pytest.raises(RequestRejectedError, match=match):
        score(asked)


@pytest.mark.parametrize("context", ["", " \n"])
def test_an_empty_context_is_the_bos_token(context: str, scorer: Scorer, score: Score) -> None:
    (found,) = score(request("all of it", prompt=context)).likelihoods
    ids = scorer.encode(f"{context}all of it", adds=True)
    assert found.logprob == pytest.approx(scorer.value(ids, 1))
    assert found.num_tokens == len(ids) - 1


@pytest.mark.parametrize(("has_bos", "adds"), [(False, True), (True, False)])
def test_without_bos_nothing_stands_before_the_first_token(
    has_bos: bool, adds: bool, scorer: Scorer, score: Score
) -> None:
    scorer.has_bos = has_bos
    with pytest.raises(RequestRejectedError, match=r"adds no BOS token.*give the choice a contex"):
        score(request("all of it", prompt="", adds=adds))
    assert not scorer.calls


def test_the_profile_can_leave_bos_out(scorer: Scorer, score: Score) -> None:
    (found,) = score(request(" cake", adds=False)).likelihoods
    ids = scorer.encode(f"{CONTEXT} cake")
    assert found.logprob == pytest.approx(scorer.value(ids, len(ids) - 1))


def test_a_whole_text_is_scored_but_for_its_first_token(scorer: Scorer, score: Score) -> None:
    (found,) = score(request(" a cake", scoring="ppl-full")).likelihoods
    ids = scorer.encode(f"{CONTEXT} a cake", adds=True)
    assert found.logprob == pytest.approx(scorer.value(ids, 1))
    assert found.num_tokens == len(ids) - 1
    assert len(scorer.calls) == 1


# Rolling.


def rolled(scorer: Scorer, text: str) -> float:
    """What the reference's windows add up to."""
    found = windows(scorer.encode(text), scorer.BOS, scorer.limit - 2)
    return float(sum(scorer.value(window.token_ids, window.start) for window in found))


@pytest.mark.parametrize("is_sentencepiece", [True, False])
@pytest.mark.parametrize("limit", [16, 24, 64, 2048])
def test_a_long_text_is_scored_in_the_references_windows(
    limit: int, is_sentencepiece: bool, scorer: Scorer, score: Score
) -> None:
    scorer.limit, scorer.is_sentencepiece = limit, is_sentencepiece
    (found,) = score(request(LONG, prompt="", scoring="rolling")).likelihoods
    assert found.num_tokens == len(scorer.encode(LONG))
    assert found.logprob == pytest.approx(rolled(scorer, LONG))


def test_the_profile_names_the_first_token_where_there_is_no_bos(
    scorer: Scorer, score: Score
) -> None:
    scorer.has_bos = False
    asked = request("one two", prompt=scorer.BOS_TEXT, scoring="rolling")
    (found,) = score(asked).likelihoods
    assert found.logprob == pytest.approx(rolled(scorer, "one two"))


@pytest.mark.parametrize(
    ("prefix", "match"), [("", "prefix_text = "), ("two words", "'two words' is 2 tokens")]
)
def test_a_prefix_that_is_no_token_is_a_mistake_in_the_profile(
    prefix: str, match: str, scorer: Scorer, score: Score
) -> None:
    scorer.has_bos = False
    with pytest.raises(ConfigError, match=match):
        score(request("one two", prompt=prefix, scoring="rolling"))


def test_a_text_whose_pieces_are_tokenized_otherwise_is_refused(
    scorer: Scorer, score: Score
) -> None:
    scorer.limit = 16
    with pytest.raises(RequestRejectedError, match=r"tokenized otherwise in \d+ pieces"):
        score(request("x" * 100, prompt="", scoring="rolling"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet=st.sampled_from("ab \n,ä你"), min_size=1, max_size=60),
    limit=st.integers(40, 80),
)
def test_any_text_is_scored_once_or_refused(
    text: str, limit: int, scorer: Scorer, score: Score
) -> None:
    scorer.limit = limit
    try:
        (found,) = score(request(text, prompt="", scoring="rolling")).likelihoods
    except RequestRejectedError as error:
        assert "pieces" in str(error)  # noqa: PT017  # the other outcome is checked below
        return
    assert found.num_tokens == len(scorer.encode(text))
    assert found.logprob == pytest.approx(rolled(scorer, text))


# What greedy decoding would give.


@pytest.mark.parametrize("has_start", [True, False])
@pytest.mark.parametrize("is_tgi", [True, False])
def test_it_is_said_whether_greedy_decoding_gives_the_text(
    has_start: bool, is_tgi: bool, scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    scorer.has_start, scorer.is_tgi = has_start, is_tgi
    words = {tuple(scorer.encode(f" {word}")): f" {word}" for word in ("the", "end", "of", "all")}
    best = words.get((scorer.greedy(scorer.encode("Say it to 7", adds=True)),))
    assert best, "the made-up model goes on with one of these words here"
    url = serve(scorer).url
    client = connect(url, info=info_of(scorer, url))
    asked = request(best, " nothing", f"{best} nothing", prompt="Say it to 7", needs_greedy=True)
    found = client.complete(asked).likelihoods
    assert [each.is_greedy for each in found] == [True, False, False]
    continued = [i for i in scorer.inputs() if isinstance(i, list)]
    assert len(continued) == (3 if scorer.dialect == "a" else 0), "the newer one says ranks"


# What goes wrong.


def busy(exchange: Any) -> None:
    exchange.reply({"message": "busy"}, status=503)


def test_a_retry_asks_only_for_what_is_missing(
    scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    scorer.interruptions = [None, None, busy, None, busy]
    url = serve(scorer).url
    client = connect(url, info=info_of(scorer, url))
    num_busy = []
    client.on_busy = lambda: num_busy.append(1)
    found = client.complete(request(" a", " b", " c"))
    assert (found.attempts, len(found.likelihoods), len(num_busy)) == (3, 3, 2)
    asked = [i.removeprefix(CONTEXT) for i in scorer.inputs()]
    assert asked == [" a", " b", " b", " c", " c"]
    scorer.calls.clear()
    assert client.complete(request(" a", " b", " c")).likelihoods == found.likelihoods


def test_a_retry_of_a_long_text_goes_on_with_its_next_window(scorer: Scorer, score: Score) -> None:
    scorer.limit = 24
    undisturbed = score(request(LONG, prompt="", scoring="rolling"))
    num_calls = len(scorer.calls)
    scorer.calls.clear()
    scorer.interruptions = [*[None] * (num_calls - 2), busy]
    found = score(request(LONG, prompt="", scoring="rolling"))
    assert found.likelihoods == undisturbed.likelihoods
    assert found.attempts == 2
    assert len(scorer.calls) == num_calls + 1


def test_retries_end(scorer: Scorer, score: Score) -> None:
    scorer.interruptions = [busy] * 10
    with pytest.raises(ServerUnreachableError, match="tried 3 times"):
        score(request(" a"), retries=2)
    assert len(scorer.calls) == 3


@pytest.mark.parametrize(
    ("answer", "error", "num_calls"),
    [
        (b"<html>", BadResponseError, 2),
        ({"error": {"message": "no such id", "code": 400}}, RequestRejectedError, 1),
        (b'{"ntok', BadResponseError, 2),
        ({"ntokens": "x"}, BadResponseError, 1),
        ({}, BadResponseError, 1),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    answer: Any, error: type[Exception], num_calls: int, scorer: Scorer, score: Score
) -> None:
    scorer.interruptions = [lambda exchange: exchange.reply(answer)] * 2
    with pytest.raises(error):
        score(request(" a"), retries=1)
    assert len(scorer.calls) == num_calls


def test_a_generation_that_the_server_gave_up_is_asked_again(scorer: Scorer, score: Score) -> None:
    reasons = ["abort"]

    def abort_once(answer: dict[str, Any]) -> None:
        if reasons:
            answer["finish_reason"] = reasons.pop()

    scorer.bend = abort_once
    assert score(request(" a")).attempts == 2


def test_other_tokens_than_were_sent_are_no_score(scorer: Scorer, score: Score) -> None:
    def swap(answer: dict[str, Any]) -> None:
        # A text has no ids to compare; a window has.
        if isinstance(scorer.inputs()[-1], list):
            answer["prompt_token_ids"] = [i + 1 for i in answer["prompt_token_ids"]]

    scorer.bend = swap
    with pytest.raises(BadResponseError, match="scored other tokens than were sent"):
        score(request("one two", prompt="", scoring="rolling"))


def test_a_text_with_another_number_of_tokens_is_no_score(
    scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    def add(answer: dict[str, Any]) -> None:
        more = scorer.answer(
            [*answer["prompt_token_ids"], 7],
            {"max_new_tokens": 1, "return_details": False, "prompt_logprobs": 0},
        )
        answer.update(more)

    scorer.bend = add
    url = serve(scorer).url
    client = connect(url, info=replace(info_of(scorer, url), max_req_total_len=None))
    with pytest.raises(BadResponseError, match=r"scored \d+ tokens of a text that has \d+"):
        client.complete(request(" a"))


def test_a_prompt_that_is_too_long_says_both_numbers(scorer: Scorer, score: Score) -> None:
    scorer.limit = 20
    num_tokens = len(scorer.encode(CONTEXT + " a" * 30, adds=True))
    with pytest.raises(PromptTooLongError, match=rf"{num_tokens} tokens.*limit of 20 tokens"):
        score(request(" a" * 30))
    assert [path for path, _ in scorer.calls] == ["/tokens", "/generate"]


def test_a_text_with_too_many_characters_says_both_numbers(scorer: Scorer, score: Score) -> None:
    message = "prompt text length 999 exceeds the character limit 160, the request is rejected"
    scorer.interruptions = [None, lambda exchange: scorer.refuse(exchange, message)]
    with pytest.raises(PromptTooLongError, match=r"999 characters .* 160"):
        score(request(" a"))


@pytest.mark.parametrize("is_limit_known", [True, False])
def test_a_prompt_that_the_server_cuts_is_too_long(
    is_limit_known: bool, scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    scorer.limit, scorer.truncates = 20, True
    url = serve(scorer).url
    info = info_of(scorer, url)
    client = connect(url, info=info if is_limit_known else replace(info, max_req_total_len=None))
    num_tokens = len(scorer.encode(CONTEXT + " a" * 30, adds=True))
    with pytest.raises(PromptTooLongError, match=f"cut a prompt of {num_tokens} tokens to 19"):
        client.complete(request(" a" * 30))


def test_a_prompt_that_just_fits_is_scored(scorer: Scorer, score: Score) -> None:
    scorer.limit = len(scorer.encode(f"{CONTEXT} a", adds=True)) + 1
    (found,) = score(request(" a")).likelihoods
    assert found.num_tokens == 1


def test_a_client_that_has_not_probed_reads_either_dialect(
    scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    (found,) = connect(serve(scorer).url).complete(request(" a cake")).likelihoods
    ids = scorer.encode(f"{CONTEXT} a cake", adds=True)
    assert found.logprob == pytest.approx(scorer.value(ids, len(ids) - 2))


def test_a_server_without_the_mode_is_no_chance_level_score(scorer: Scorer, score: Score) -> None:
    scorer.has_mode = False
    with pytest.raises((BadResponseError, RequestRejectedError)):
        score(request(" a", " b"))


def test_an_answer_that_never_comes_ends_at_the_deadline(scorer: Scorer, score: Score) -> None:
    scorer.interruptions = [None, lambda exchange: exchange.hang()]
    with pytest.raises(RequestTimeoutError, match="/generate within"):
        score(request(" a"), request_timeout_s=0.3)


def test_cancelling_ends_a_request_between_its_choices(
    scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    is_hanging = threading.Event()

    def hang(exchange: Any) -> None:
        is_hanging.set()
        exchange.hang()

    scorer.interruptions = [None, None, hang]
    url = serve(scorer).url
    client = connect(url, info=info_of(scorer, url))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            client.complete(request(" a", " b", " c"))
        except RequestCancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert is_hanging.wait(30)
    client.cancel_all()
    thread.join(30)
    assert len(errors) == 1
    assert len(scorer.calls) == 3


class CountingRate:
    """A limit that makes everybody wait for five seconds."""

    def __init__(self) -> None:
        self.num_reserved = 0

    def reserve(self) -> float:
        self.num_reserved += 1
        return 5.0


def test_every_exchange_keeps_to_the_rate_and_waiting_is_no_latency(
    scorer: Scorer, serve: Serve, connect: Connect
) -> None:
    rate = CountingRate()
    now_s = 0.0

    def sleep(wait_s: float) -> None:
        nonlocal now_s
        now_s += wait_s

    url = serve(scorer).url
    options = {"rate": rate, "clock": lambda: now_s, "sleep": sleep}
    found = connect(url, info=info_of(scorer, url), **options).complete(request(" a", " b"))
    assert rate.num_reserved == len(scorer.calls) == 3
    assert now_s == 15.0
    assert found.latency_s == 0.0
