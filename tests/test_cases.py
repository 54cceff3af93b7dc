from __future__ import annotations

import math
from typing import Any

import pytest

from lightllm_evals.benchmark import Benchmark, Variant
from lightllm_evals.case_requests import RequestOptions, build_request, request_options
from lightllm_evals.cases import Case, plan_cases
from lightllm_evals.errors import ConfigError, DatasetError
from lightllm_evals.records import Message, Sample
from lightllm_evals.settings import Settings

SAMPLES = [Sample(id=f"s/{i}", fields={"q": f"question {i}"}) for i in range(5)]
RAW = Variant(prompt=lambda sample: str(sample["q"]), max_new_tokens=16, stop=("\n",))
CHAT = Variant(
    prompt=lambda sample: [Message(role="user", content=sample["q"])],
    max_new_tokens=32,
    is_chat=True,
)


def benchmark(samples: list[Sample] = SAMPLES) -> Benchmark:
    return Benchmark(
        name="some",
        samples=lambda: samples,
        variants={"raw": RAW, "chat": CHAT},
        chat_variant="chat",
    )


def plan(of: Benchmark | None = None, **options: Any) -> list[str]:
    given: dict[str, Any] = {"variant": None, "api": "generate", "limit": math.inf, "repeats": 1}
    found = plan_cases(of or benchmark(), **(given | options))
    return [case.id for case in found.cases]


def case(variant: str = "raw", declared: Benchmark | None = None) -> Case:
    return Case(
        benchmark=declared or benchmark(),
        variant_name=variant,
        sample=SAMPLES[0],
        repeat=0,
        id="s/0",
    )


def test_cases_have_the_ids_and_the_order_of_the_data_set() -> None:
    assert plan() == ["s/0", "s/1", "s/2", "s/3", "s/4"]
    assert plan(limit=2) == ["s/0", "s/1"]
    assert plan(limit=2, repeats=2) == ["s/0-0", "s/0-1", "s/1-0", "s/1-1"]


def test_a_part_of_a_benchmark_with_groups_has_the_first_of_each() -> None:
    groups = "law", "law", "law", "art", "art", "law", "zoo"
    samples = [Sample(id=str(i), fields={}, group=group) for i, group in enumerate(groups)]
    grouped = benchmark(samples)
    assert plan(grouped, limit=1) == ["0"]
    assert plan(grouped, limit=3) == ["0", "3", "6"]
    assert plan(grouped, limit=5) == ["0", "1", "3", "4", "6"]
    assert plan(grouped, limit=6) == ["0", "1", "2", "3", "4", "6"]
    assert plan(grouped, limit=7) == plan(grouped, limit=99) == plan(grouped) == list("0123456")


def test_the_interface_selects_the_form_and_a_name_beats_it() -> None:
    def form(**options: Any) -> str:
        given: dict[str, Any] = {"variant": None, "limit": 1, "repeats": 1}
        return plan_cases(benchmark(), **(given | options)).variant_name

    assert form(api="generate") == "raw"
    assert form(api="chat") == "chat"
    assert form(api="chat", variant="raw") == "raw"


@pytest.mark.parametrize("options", [{"variant": "none"}, {"variant": "chat"}])
def test_a_form_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        plan(**options)


@pytest.mark.parametrize("samples", [[], [SAMPLES[0], SAMPLES[0]]])
def test_no_samples_or_two_with_one_id_are_no_data_set(samples: list[Sample]) -> None:
    with pytest.raises(DatasetError):
        plan(benchmark(samples))


def test_a_request_is_the_form_and_what_the_options_add() -> None:
    options = RequestOptions(
        params={"temperature": 0.5, "max_new_tokens": 4}, extra_stops=("<e>",)
    )
    request = build_request(case(), "the id", options)
    assert (request.id, request.prompt, request.api) == ("the id", "question 0", "generate")
    assert request.params.stop_sequences == ("\n", "<e>")
    assert (request.params.temperature, request.params.max_new_tokens) == (0.5, 4)


def test_a_text_is_one_turn_where_the_interface_is_a_chat() -> None:
    request = build_request(case(), "id", RequestOptions(api="chat"))
    assert request.messages == (Message(role="user", content="question 0"),)
    assert request.prompt == ""


def test_turns_are_a_chat_whatever_the_interface() -> None:
    assert build_request(case("chat"), "id", RequestOptions()).api == "chat"


@pytest.mark.parametrize("prompt", [[], [{"role": "user", "content": "x"}]])
def test_a_prompt_that_is_neither_text_nor_turns_is_refused(prompt: Any) -> None:
    odd = Variant(prompt=lambda sample: prompt, max_new_tokens=1)
    declared = Benchmark(name="odd", samples=lambda: SAMPLES, variants={"odd": odd})
    with pytest.raises(ConfigError, match="must be text or a sequence of Message"):
        build_request(case("odd", declared), "id", RequestOptions())


def test_the_command_line_beats_the_profile() -> None:
    options = request_options(
        Settings(params={"seed": 1}, api="completions"),
        profile_api="chat",
        profile_params={"seed": 2, "top_k": 3},
    )
    assert options.api == "completions"
    assert options.params == {"seed": 1, "top_k": 3}
