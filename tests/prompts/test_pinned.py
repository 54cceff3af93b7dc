"""The full text of two prompts a form, from the tiny data sets, byte for byte.

Beside each stands a hash of prompts from the real files. Those forms that have a counterpart
in lm-evaluation-harness were compared with it by ``benchmarks/parity_prompts.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lightllm_evals import datasets
from lightllm_evals.prompts import (
    bbh,
    commonsense,
    drop,
    evalplus,
    exam_chats,
    exams,
    fewshot,
    gsm8k,
    humaneval,
    ifeval,
    language,
    math500,
    mbpp,
    olmes,
)
from lightllm_evals.prompts.turns import with_shots
from lightllm_evals.records import Choice, Message, Sample

PINNED = Path(__file__).parent / "pinned"
FEWSHOT = Path(__file__).parents[2] / "fixtures" / "fewshot"

OPENCOMPASS_GSM8K = fewshot.with_shots(
    FEWSHOT / "gsm8k_opencompass.txt", gsm8k.opencompass_question
)
GSM8K_COT = fewshot.with_shots(FEWSHOT / "gsm8k_cot.txt", gsm8k.cot_question)
MINERVA = fewshot.with_shots(FEWSHOT / "minerva_math.txt", math500.minerva_problem)
ARC_CHALLENGE_OLMES = olmes.choices(datasets.olmes_shots("arc_challenge"))
ARC_EASY_OLMES = olmes.choices(datasets.olmes_shots("arc_easy"))
COMMONSENSEQA_OLMES = olmes.choices(datasets.olmes_shots("csqa"))
DROP = fewshot.with_shots(FEWSHOT / "drop.txt", drop.question)


def gsm8k_turns(sample: Sample) -> Sequence[Message]:
    return with_shots(gsm8k.reference_turns(sample), gsm8k.reference_shots(sample), None)


def hellaswag_wholes(sample: Sample) -> str:
    """Returns the four texts that are scored, a line each: this form joins context and ending."""
    choices = commonsense.hellaswag(sample)
    return "".join(f"{choice.context}{choice.continuation}\n" for choice in choices)


Source = Callable[[], list[Sample]]
Prompt = Callable[[Sample], str | Sequence[Message] | Sequence[Choice]]

# Name of the pinned file, source, prompt, and what the first and last real prompt hash to.
FORMS: list[tuple[str, Source, Prompt, str]] = [
    ("humaneval-reference", datasets.humaneval, humaneval.reference_prompt, "f5a2ed3fe977d183"),
    ("humaneval-bigcode", datasets.humaneval, humaneval.bigcode_prompt, "7c1368c513287fa1"),
    ("humaneval-instruct", datasets.humaneval, humaneval.instruct_turns, "86e0d2dbf15b178f"),
    (
        "humaneval-opencompass",
        datasets.humaneval,
        humaneval.opencompass_prompt,
        "8ed2303fcd6a5609",
    ),
    ("mbpp-reference", datasets.mbpp, mbpp.reference_prompt, "f5bd7a19f1cfffca"),
    ("mbpp-instruct", datasets.mbpp, mbpp.instruct_turns, "f42117b771663ab0"),
    ("mbpp-opencompass", datasets.mbpp_sanitized, mbpp.opencompass_prompt, "3808582ce368cf28"),
    (
        "humaneval_plus-evalplus",
        datasets.humaneval_plus,
        evalplus.completion_prompt,
        "f177c64246224eed",
    ),
    (
        "humaneval_plus-instruct",
        datasets.humaneval_plus,
        evalplus.instruct_turns,
        "355623e2931f24cf",
    ),
    ("mbpp_plus-evalplus", datasets.mbpp_plus, evalplus.completion_prompt, "ca219a5527074b44"),
    ("mbpp_plus-instruct", datasets.mbpp_plus, evalplus.instruct_turns, "e5ff0dd189cb2b72"),
    ("gsm8k-reference", datasets.gsm8k, gsm8k.reference_prompt, "8a09bc76d5c15da1"),
    ("gsm8k-instruct", datasets.gsm8k, gsm8k_turns, "b77e46861794dbef"),
    ("gsm8k-opencompass", datasets.gsm8k, OPENCOMPASS_GSM8K, "a7b1dd272aaeb7ec"),
    ("gsm8k-cot", datasets.gsm8k, GSM8K_COT, "1965f4ab63923767"),
    ("math500-minerva", datasets.math500, MINERVA, "eb3caf268431344a"),
    ("math500-boxed", datasets.math500, math500.boxed_turns, "42dc00444587e438"),
    ("bbh-opencompass", datasets.bbh, bbh.opencompass_prompt, "9d9f401c6c8afc90"),
    ("bbh-reference", datasets.bbh, bbh.reference_prompt, "5f622852970a130d"),
    ("drop-three_shot", datasets.drop, DROP, "273d69f9252b166e"),
    ("drop-reference", datasets.drop, drop.reference_prompt, "e62d348d91b9051f"),
    ("ifeval-raw", datasets.ifeval, ifeval.bare_prompt, "fa0ce22e5fbf1c1f"),
    ("ifeval-chat", datasets.ifeval, ifeval.user_turn, "5efe2d2dfc05bf65"),
    ("mmlu-reference", datasets.mmlu, exams.mmlu, "4067c45f4d2262a3"),
    ("mmlu-opencompass", datasets.mmlu, exams.mmlu_opencompass, "2bde788a9387c355"),
    ("mmlu-cot", datasets.mmlu, exam_chats.mmlu_turn, "f76e683a4abb5f71"),
    ("mmlu-cloze", datasets.mmlu, exams.mmlu_cloze, "51995d7bea5fc005"),
    ("ceval-opencompass", datasets.ceval, exams.ceval_opencompass, "346571a2b29a57a6"),
    ("ceval-reference", datasets.ceval, exams.ceval_reference, "6ff0a4a46d41b4fe"),
    ("ceval-instruct", datasets.ceval, exam_chats.ceval_turns, "1d3689f8b50805eb"),
    ("cmmlu-cot", datasets.cmmlu, exam_chats.cmmlu_turn, "7949ee9f87c00ffb"),
    ("cmmlu-opencompass", datasets.cmmlu, exams.cmmlu_opencompass, "877c5f61e076e99f"),
    ("cmmlu-reference", datasets.cmmlu, exams.cmmlu_reference, "d0fd6862a91c3abc"),
    ("commonsenseqa-reference", datasets.commonsenseqa, exams.commonsenseqa, "d1e75e9ab7e76fa5"),
    ("truthfulqa-mc1", datasets.truthfulqa, commonsense.truthfulqa_mc1, "eb0469f6f608e4a2"),
    ("truthfulqa-mc2", datasets.truthfulqa, commonsense.truthfulqa_mc2, "ec60466a7540e40a"),
    ("truthfulqa-reference", datasets.truthfulqa, commonsense.truthfulqa, "92896f2f3c85d605"),
    ("arc_challenge-reference", datasets.arc_challenge, commonsense.arc, "25710e7db1f8e395"),
    ("arc_easy-reference", datasets.arc_easy, commonsense.arc, "35aabecdf31b5481"),
    (
        "arc_challenge-opencompass",
        datasets.arc_challenge,
        commonsense.arc_opencompass,
        "55f4e43f53ccc44a",
    ),
    ("arc_easy-opencompass", datasets.arc_easy, commonsense.arc_opencompass, "e9b5511f543fa554"),
    (
        "arc_challenge-opencompass_letters",
        datasets.arc_challenge,
        commonsense.arc_opencompass_letters,
        "0fc4770494c7ba30",
    ),
    (
        "arc_easy-opencompass_letters",
        datasets.arc_easy,
        commonsense.arc_opencompass_letters,
        "825d094d4fcba91c",
    ),
    ("arc_challenge-olmes_mc", datasets.arc_challenge, ARC_CHALLENGE_OLMES, "e5e046977470d073"),
    ("arc_easy-olmes_mc", datasets.arc_easy, ARC_EASY_OLMES, "fbfbaaca22bb1f2d"),
    ("commonsenseqa-olmes_mc", datasets.commonsenseqa, COMMONSENSEQA_OLMES, "9de514ff2d6b7c54"),
    ("hellaswag-reference", datasets.hellaswag, commonsense.hellaswag, "7b1cb0b51a2623c8"),
    ("hellaswag-opencompass", datasets.hellaswag, hellaswag_wholes, "a3437d641ba619e5"),
    ("piqa-reference", datasets.piqa, commonsense.piqa, "38225b688f98db34"),
    ("piqa-opencompass", datasets.piqa, commonsense.piqa_opencompass, "6f60f82866afb89d"),
    ("winogrande-reference", datasets.winogrande, commonsense.winogrande, "1db5e2bf6ba491e2"),
    ("openbookqa-reference", datasets.openbookqa, commonsense.openbookqa, "480f798c1f11cca5"),
    ("boolq-reference", datasets.boolq, commonsense.boolq, "cd01354ca0685fc1"),
    ("boolq-opencompass", datasets.boolq, commonsense.boolq_opencompass, "92833c9e64324a44"),
    ("lambada-opencompass", datasets.lambada, language.lambada_opencompass, "10785d3bd26af68a"),
    ("lambada-reference", datasets.lambada, language.lambada, "e6187fbe762aa7b9"),
    ("wikitext2-reference", datasets.wikitext2, language.wikitext2, "e8d11d295e6647e1"),
]
NAMES = [form[0] for form in FORMS]


def as_text(prompt: str | Sequence[Message] | Sequence[Choice]) -> str:
    """Returns a prompt as it is, turns with their roles, choices with their contexts."""
    if isinstance(prompt, str):
        return prompt
    return "".join(map(part_text, prompt))


def part_text(part: Message | Choice) -> str:
    if isinstance(part, Message):
        return f"<{part.role}>\n{part.content}\n</{part.role}>\n"
    return f"<context>{part.context}</context><choice>{part.continuation}</choice>\n"


def ends(samples: list[Sample]) -> tuple[Sample, Sample]:
    return samples[0], samples[-1]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("name", "source", "prompt", "digest"), FORMS, ids=NAMES)
def test_two_full_prompts_are_as_pinned(
    name: str, source: Source, prompt: Prompt, digest: str
) -> None:
    for number, sample in enumerate(ends(source())):
        pinned = (PINNED / f"{name}-{number}.txt").read_bytes().decode("utf-8")
        assert as_text(prompt(sample)) == pinned


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("name", "source", "prompt", "digest"), FORMS, ids=NAMES)
def test_two_real_prompts_are_as_pinned(
    name: str, source: Source, prompt: Prompt, digest: str
) -> None:
    both = "\0".join(as_text(prompt(sample)) for sample in ends(source()))
    assert hashlib.sha256(both.encode()).hexdigest()[:16] == digest
