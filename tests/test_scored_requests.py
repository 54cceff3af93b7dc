"""Cases that score given texts, as requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, Variant
from lightllm_evals.case_requests import RequestOptions, benchmark_fingerprint, build_request
from lightllm_evals.cases import Case, Needs, plan_cases
from lightllm_evals.errors import ConfigError
from lightllm_evals.fingerprint import request_key
from lightllm_evals.records import Choice, Request, Sample, Scoring, from_json, to_json

SAMPLES = [Sample(id=f"s/{i}", fields={}) for i in range(3)]


def scored(*pairs: tuple[str, str], kind: Scoring = "ll", needs_greedy: bool = False) -> Case:
    """A case whose form scores these contexts with their continuations."""
    form = LikelihoodVariant(
        choices=lambda sample: [
            Choice(context=c, continuation=t, text=t.strip()) for c, t in pairs
        ],
        kind=kind,
        needs_greedy=needs_greedy,
        prefix=lambda sample: "Q",
    )
    declared = Benchmark(name="some", samples=lambda: SAMPLES, variants={"scored": form})
    return Case(
        benchmark=declared, variant_name="scored", sample=SAMPLES[0], repeat=0, id=SAMPLES[0].id
    )


def whole(request: Request) -> list[tuple[str, str]]:
    return [(request.prompt + choice.context, choice.continuation) for choice in request.choices]


def test_what_contexts_share_is_the_prompt_and_travels_once() -> None:
    request = build_request(scored(("Q: x", " a"), ("Q: x", " b")), "the id", RequestOptions())
    assert (request.id, request.prompt, request.prefix) == ("the id", "Q: x", "Q")
    assert request.choices == (
        Choice(context="", continuation=" a", text="a"),
        Choice(context="", continuation=" b", text="b"),
    )
    assert (request.scoring, request.needs_greedy, request.api) == ("ll", False, "generate")
    assert (request.params.max_new_tokens, request.params.add_special_tokens) == (1, True)
    assert from_json(Request, to_json(request)) == request


def test_contexts_of_their_own_go_on_where_the_prompt_ends() -> None:
    request = build_request(
        scored(("It is one", " end"), ("It is two", " end")), "", RequestOptions()
    )
    assert (request.prompt, [c.context for c in request.choices]) == ("It is ", ["one", "two"])


@given(contexts=st.lists(st.text(alphabet="ab你🎉 ", max_size=6), min_size=1, max_size=5))
def test_a_request_has_all_of_every_context(contexts: list[str]) -> None:
    pairs = [(context, f" {number}") for number, context in enumerate(contexts)]
    request = build_request(scored(*pairs), "", RequestOptions())
    assert whole(request) == pairs
    rests = [choice.context for choice in request.choices]
    assert "" in rests or len({rest[0] for rest in rests}) > 1, "more could be shared"


def test_profile_and_command_line_say_whether_bos_stands_before_scored_texts() -> None:
    options = RequestOptions(api="chat", params={"add_special_tokens": False, "temperature": 0.5})
    request = build_request(scored(("Q", " a")), "", options)
    assert request.params.add_special_tokens is False
    assert request.params.temperature == 1.0, "nothing is sampled"
    assert request.api == "generate", "no other interface scores"


def test_a_long_text_stands_behind_the_profiles_prefix() -> None:
    options = RequestOptions(prefix_text="<s>")
    request = build_request(scored(("", "long text"), kind="rolling"), "", options)
    assert whole(request) == [("<s>", "long text")]
    assert request.scoring == "rolling"
    assert whole(build_request(scored(("Q", " a")), "", options)) == [("Q", " a")]


def test_a_sample_without_choices_is_refused() -> None:
    with pytest.raises(ConfigError, match="no choice for sample s/0"):
        build_request(scored(), "", RequestOptions())


def test_a_form_has_choices_or_an_answer() -> None:
    with pytest.raises(ConfigError, match="`choices` and `likelihoods`"):
        scored(("Q", " a")).answer("x")
    generates = Variant(prompt=lambda sample: "Q", max_new_tokens=1)
    declared = Benchmark(name="some", samples=lambda: SAMPLES, variants={"raw": generates})
    case = Case(benchmark=declared, variant_name="raw", sample=SAMPLES[0], repeat=0, id="s/0")
    with pytest.raises(ConfigError, match="`answer` or `completion`"):
        _ = case.choices


@pytest.mark.parametrize(
    "other",
    [
        scored(("Q", " a"), ("Q", " c")),
        scored(("Q", " a")),
        scored(("Q", " b"), ("Q", " a")),
        scored(("R", " a"), ("R", " b")),
        scored(("Q", " a"), ("Q ", "b")),
        scored(("Q", " a"), ("Q", " b"), kind="ppl-full"),
        scored(("Q", " a"), ("Q", " b"), needs_greedy=True),
    ],
)
def test_a_stored_score_stands_for_these_texts_only(other: Case) -> None:
    def key(of: Case) -> str:
        return request_key("server", build_request(of, "any id", RequestOptions()))

    one = scored(("Q", " a"), ("Q", " b"))
    assert key(one) == key(scored(("Q", " a"), ("Q", " b")))
    assert key(one) != key(other)


def test_the_lengths_that_scores_are_divided_by_are_part_of_a_benchmarks_identity() -> None:
    def judge() -> None:
        """Judges nothing."""

    def identity(text: str) -> dict[str, str]:
        form = LikelihoodVariant(
            choices=lambda sample: [Choice(context="Q", continuation=" a", text=text)]
        )
        declared = Benchmark(name="some", samples=lambda: SAMPLES, variants={"scored": form})
        plan = plan_cases(declared, variant=None, api="generate", limit=1, repeats=1)
        return benchmark_fingerprint(plan, plan.cases[0], RequestOptions(), judge)

    bare, spaced = identity("a"), identity(" a")
    assert {name for name in bare if bare[name] != spaced[name]} == {"postprocessing"}


def test_needs_add_up() -> None:
    both = Needs(sandbox=True) | Needs(prompt_logprobs=True)
    assert both == Needs(sandbox=True, prompt_logprobs=True)
    assert Needs() | Needs() == Needs()
    assert (Needs(benchmarks=("b",)) | Needs(benchmarks=("a", "b"))).benchmarks == ("a", "b")
