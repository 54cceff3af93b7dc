"""Chat templates: the shipped ones byte for byte, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.prompts.chat_template import ChatTemplate, turn_markers
from lightllm_evals.records import Message

FOLDER = Path(__file__).parents[2] / "fixtures" / "chat_templates"
TOKENS = {
    "internlm2": ("", ""),
    "chatml": ("", ""),
    "llama-2": ("<s>", "</s>"),
    "llama-3": ("<|begin_of_text|>", ""),
}
QUESTION = Message(role="user", content="one?")
ROUND = [QUESTION, Message(role="assistant", content="1"), Message(role="user", content="two?")]
SYSTEM = Message(role="system", content="Be brief.")


def shipped(name: str) -> ChatTemplate:
    bos, eos = TOKENS[name]
    source = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return ChatTemplate(name=name, source=source, bos_token=bos, eos_token=eos)


def made(source: str, **tokens: str) -> ChatTemplate:
    return ChatTemplate(name="made", source=source, **tokens)


def test_every_shipped_template_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.jinja")} == set(TOKENS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "internlm2",
            "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n1<|im_end|>\n"
            "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "chatml",
            "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n1<|im_end|>\n"
            "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n",
        ),
        ("llama-2", "<s>[INST] one? [/INST] 1 </s><s>[INST] two? [/INST]"),
        (
            "llama-3",
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\none?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n1<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\ntwo?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ],
)
def test_turns_are_rendered_as_the_model_knows_them(name: str, text: str) -> None:
    assert shipped(name).render(ROUND) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "chatml",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\none?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        ("llama-2", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\none? [/INST]"),
        (
            "llama-3",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\none?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ],
)
def test_a_system_turn_has_its_place(name: str, text: str) -> None:
    assert shipped(name).render([SYSTEM, QUESTION]) == text


def test_a_template_without_a_system_turn_refuses_one() -> None:
    with pytest.raises(ConfigError, match="internlm2 cannot be rendered: it has no turn for the"):
        shipped("internlm2").render([SYSTEM, QUESTION])


@pytest.mark.parametrize("name", ["llama-2", "llama-3"])
def test_a_token_that_the_profile_does_not_give_is_refused(name: str) -> None:
    source = shipped(name).source
    with pytest.raises(ConfigError, match="writes bos_token, and the profile does not say"):
        ChatTemplate(name=name, source=source).render(ROUND)


@pytest.mark.parametrize(
    ("name", "writes"),
    [("internlm2", False), ("chatml", False), ("llama-2", True), ("llama-3", True)],
)
def test_who_writes_bos_is_known(name: str, writes: bool) -> None:
    template = shipped(name)
    assert template.writes_bos(template.render(ROUND)) is writes


def test_a_bos_that_is_part_of_the_template_is_known_too() -> None:
    template = made("<bos>{% for m in messages %}{{ m.content }}{% endfor %}")
    assert template.writes_bos(template.render(ROUND))


@pytest.mark.parametrize("name", TOKENS)
def test_a_rendered_prompt_is_not_rendered_again(name: str) -> None:
    template = shipped(name)
    twice = Message(role="user", content=template.render([QUESTION]))
    with pytest.raises(ConfigError, match="so that it would be applied twice"):
        template.render([twice])


def test_markers_are_what_nobody_writes_by_chance() -> None:
    assert turn_markers(shipped("llama-2")) == ("[INST]",)
    assert turn_markers(shipped("chatml")) == ("<|im_start|>user", "<|im_start|>assistant")
    plain = "{% for m in messages %}{{ m.role.upper() }}: {{ m.content }}\n{% endfor %}ASSISTANT:"
    assert turn_markers(made(plain)) == ()


def test_a_default_system_turn_is_no_marker() -> None:
    source = "<|system|>You are kind.\n" + (
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\n{% endfor %}<|assistant|>\n"
    )
    template = made(source)
    assert turn_markers(template) == ("<|user|>",)
    assert template.render([Message(role="user", content="You are kind.")])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for %}", "made, line 1 is no Jinja"),
        ("{{ messages[9].content }}", "made cannot be rendered"),
        ("{{ 1 + messages[0].content }}", "made cannot be rendered"),
        ("{{ 1 // 0 }}", "made cannot be rendered"),
        ("{{ ''.__class__.__mro__ }}", "made cannot be rendered"),
        ("{{ raise_exception('not so') }}", "made cannot be rendered: not so"),
    ],
)
def test_a_broken_template_is_one_sentence(source: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(source).render([QUESTION])


def test_blocks_are_trimmed_as_transformers_trims_them() -> None:
    source = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n"
    assert made(source + "{% endfor %}\n").render(ROUND) == "one?\n1\ntwo?\n"


def test_text_of_a_turn_is_data() -> None:
    turn = Message(role="user", content="{{ 6 * 7 }} <b> & 'x'")
    assert made("{{ messages[0].content }}").render([turn]) == turn.content
