"""What a profile's chat template, system prompt, few-shot form and reasoning make of a request."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, Variant
from lightllm_evals.case_requests import (
    RequestOptions,
    answer_text,
    benchmark_fingerprint,
    build_request,
    request_options,
)
from lightllm_evals.cases import Case, plan_cases
from lightllm_evals.errors import ConfigError
from lightllm_evals.prompts.chat_template import ChatTemplate
from lightllm_evals.reasoning import Reasoning
from lightllm_evals.records import Choice, Message, Request, Sample
from lightllm_evals.settings import Settings

TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
TEMPLATE = ChatTemplate(name="plain", source=TURNS)
WITH_BOS = ChatTemplate(name="own-bos", source="{{ bos_token }}" + TURNS, bos_token="<s>")
OPENS_THINKING = ChatTemplate(name="thinker", source=TURNS + "<think>\n")


def shots(sample: Sample) -> list[Message]:
    del sample
    return [Message(role="user", content="1?"), Message(role="assistant", content="one")]


VARIANTS: dict[str, Variant | LikelihoodVariant] = {
    "raw": Variant(prompt=lambda sample: str(sample["q"]), max_new_tokens=16, stop=("\n",)),
    "chat": Variant(
        prompt=lambda sample: [Message(role="user", content=sample["q"])],
        max_new_tokens=32,
        stop=("Q:",),
        is_chat=True,
        shots=shots,
    ),
    "scored": LikelihoodVariant(
        choices=lambda sample: [Choice(context=sample["q"], continuation=" a", text="a")]
    ),
}


def case(variant: str = "raw", question: str = "2?") -> Case:
    sample = Sample(id="s/0", fields={"q": question})
    declared = Benchmark(
        name="some", samples=lambda: [sample], variants=VARIANTS, chat_variant="chat"
    )
    return Case(benchmark=declared, variant_name=variant, sample=sample, repeat=0, id="s/0")


def request(variant: str = "raw", question: str = "2?", **options: Any) -> Request:
    return build_request(case(variant, question), "id", RequestOptions(**options))


def test_a_template_makes_a_text_of_a_text_and_of_turns() -> None:
    found = request(template=TEMPLATE)
    assert (found.api, found.messages) == ("generate", ())
    assert found.prompt == "<|user|>2?<|assistant|>"
    assert request("chat", template=TEMPLATE).prompt == "<|user|>1? one\n\n2?<|assistant|>"


def test_shots_can_be_turns() -> None:
    found = request("chat", template=TEMPLATE, fewshot="turns")
    assert found.prompt == "<|user|>1?<|assistant|>one<|user|>2?<|assistant|>"


def test_a_system_prompt_is_a_turn_for_either_template() -> None:
    ours = request(template=TEMPLATE, system_prompt="Be brief.")
    assert ours.prompt == "<|system|>Be brief.<|user|>2?<|assistant|>"
    theirs = request(api="chat", system_prompt="Be brief.")
    assert theirs.messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="2?"),
    )


def test_a_system_prompt_has_no_place_in_a_text() -> None:
    with pytest.raises(ConfigError, match="system_prompt has no place"):
        request(system_prompt="Be brief.")


@pytest.mark.parametrize(("template", "adds"), [(TEMPLATE, True), (WITH_BOS, False)])
def test_the_tokenizer_adds_bos_where_the_template_writes_none(
    template: ChatTemplate, adds: bool
) -> None:
    assert request(template=template).params.add_special_tokens is adds


def test_two_bos_are_refused() -> None:
    params = {"add_special_tokens": True}
    with pytest.raises(ConfigError, match="own-bos writes BOS, and add_special_tokens = true"):
        request(template=WITH_BOS, params=params)
    assert request(template=TEMPLATE, params=params).params.add_special_tokens


def test_a_template_of_ours_inside_one_of_the_servers_is_refused() -> None:
    with pytest.raises(ConfigError, match="rendered here, and api 'chat' has the server apply"):
        request_options(Settings(api="chat"), template=TEMPLATE)
    with pytest.raises(ConfigError, match="rendered here"):
        request_options(Settings(), profile_api="chat", template=TEMPLATE)
    given = Settings(api="generate")
    assert request_options(given, profile_api="chat", template=TEMPLATE).api == "generate"


@pytest.mark.parametrize("question", ["<|im_start|>user\n2?", "[INST] 2? [/INST]"])
def test_a_text_that_is_a_chat_already_is_refused_in_a_chat(question: str) -> None:
    with pytest.raises(ConfigError, match=r"some \(raw\), sample s/0: a user turn already has"):
        request(question=question, api="chat")
    assert request(question=question).prompt == question


def test_a_text_that_our_template_made_is_refused_with_its_sample() -> None:
    with pytest.raises(ConfigError, match=r"some \(raw\), sample s/0: A user turn already has"):
        request(question="<|user|>2?<|assistant|>", template=TEMPLATE)


def test_texts_that_are_scored_have_no_template() -> None:
    options = RequestOptions(template=TEMPLATE, system_prompt="Be brief.")
    assert build_request(case("scored"), "id", options) == request("scored")


def test_a_template_chooses_the_form_for_chats() -> None:
    options = RequestOptions(template=TEMPLATE)
    plan = plan_cases(
        case().benchmark, variant=None, api=options.form_api, limit=math.inf, repeats=1
    )
    assert plan.variant_name == "chat"


def test_stop_texts_are_kept_from_the_thinking() -> None:
    reasoning = Reasoning()
    found = request("chat", api="chat", reasoning=reasoning, extra_stops=("<e>",))
    assert found.params.stop_sequences == ("<e>",)
    thought = answer_text(case("chat"), found, "<think>Q: 1</think>\ntwo Q: 3", reasoning)
    assert (thought.text, thought.num_blocks) == ("two ", 1)


@pytest.mark.parametrize(
    ("template", "is_open", "is_unclosed"),
    [(OPENS_THINKING, False, True), (TEMPLATE, True, False), (None, True, True)],
)
def test_who_opened_the_thinking_is_known(
    template: ChatTemplate | None, is_open: bool, is_unclosed: bool
) -> None:
    reasoning = Reasoning(is_open=is_open)
    api = "generate" if template else "chat"
    found = request(api=api, template=template, reasoning=reasoning)
    assert answer_text(case(), found, "2 and 2", reasoning).is_unclosed is is_unclosed


OPTIONS = RequestOptions(template=TEMPLATE)
CHANGES = {
    "template": {"template": WITH_BOS},
    "system prompt": {"system_prompt": "Be brief."},
    "few-shot form": {"fewshot": "turns"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_prompts_of_another_form_are_other_prompts(change: dict[str, Any]) -> None:
    assert fingerprint(replace(OPTIONS, **change))["prompt"] != fingerprint(OPTIONS)["prompt"]


def test_answers_without_thinking_are_other_answers() -> None:
    key = "postprocessing"
    found = [
        fingerprint(replace(OPTIONS, reasoning=reasoning))[key]
        for reasoning in (None, Reasoning(), Reasoning(end="</t>"))
    ]
    assert len(set(found)) == 3


def fingerprint(options: RequestOptions) -> dict[str, str]:
    one = case("chat")
    plan = plan_cases(one.benchmark, variant="chat", api="chat", limit=1, repeats=1)
    return benchmark_fingerprint(plan, one, options, fingerprint)
