from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import bbh


def sample(task: str, target: str) -> Sample:
    return Sample(id="0", fields={"task": task, "target": target, "input": ""})


CHOICE = sample("snarks", "(B)")
WORDS = sample("word_sorting", "apple fig pear")
YES = sample("sports_understanding", "yes")
DYCK = sample("dyck_languages", "> ] )")
NUMBER = sample("object_counting", "8")

# Sample, completion, OpenCompass's answer, the reference's answer.
ANSWERS = [
    (CHOICE, "So the answer is (B).", "(B)", "(B)"),
    (CHOICE, "So the answer is B.", "(B)", "B"),
    (CHOICE, "so the answer is (C).", "C", "(C)"),
    (CHOICE, "The answer is (B).", "(B)", ""),
    (CHOICE, "the answer is (B)", "(B)", "(B"),
    (CHOICE, "the answer is: (B).", "(B)", ""),
    (CHOICE, "the answer is **(B)**.", "(B)", "**(B)**"),
    (CHOICE, "(A) is wrong. So the answer is (B). Q", "(B)", "(B). "),
    (CHOICE, "the answer is (A). No, the answer is (B).", "A", "(A). No, the answer is (B)"),
    (CHOICE, "Both options lie", "(B)", ""),
    (CHOICE, "Maybe.", "M", ""),
    (CHOICE, "none of them", "", ""),
    (CHOICE, "", "", ""),
    (CHOICE, "the answer is b.", "", "b"),
    (WORDS, "So the answer is apple fig pear.", "apple fig pear", "apple fig pear"),
    (WORDS, "So the answer is apple, fig, pear.", "apple fig pear", "apple, fig, pear"),
    (WORDS, "So the answer is Apple Fig Pear", "apple fig pear", "Apple Fig Pea"),
    (WORDS, "the answer is apple  fig\npear.", "apple fig", "apple  fi"),
    (WORDS, "apple fig pear", "apple fig pear", ""),
    (YES, "So the answer is yes.", "yes", "yes"),
    (YES, "So the answer is Yes, it is.", "yes", "Yes, it is"),
    (YES, "So the answer is no.", "No", "no"),
    (YES, "So the answer is nope.", "nope", "nope"),
    (YES, "the answer is **yes**", "yes", "**yes*"),
    (DYCK, "So the answer is > ] ).", "> ] )", "> ] )"),
    (DYCK, "So the answer is >]).", ">])", ">])"),
    (NUMBER, "So the answer is 8.", "8", "8"),
    (NUMBER, "the answer is 7. Wait, THE ANSWER IS 8.", "8", "7. Wait, THE ANSWER IS 8"),
    (NUMBER, "We have 3, 5 items. the answer is 3, 5", "3, 5", "3, "),
    (NUMBER, "eight", "eight", ""),
    (NUMBER, "the answer is ", "", ""),
]


@pytest.mark.parametrize(("item", "text", "opencompass", "reference"), ANSWERS)
def test_tricky_answers_are_read_as_the_references_read_them(
    item: Sample, text: str, opencompass: str, reference: str
) -> None:
    assert bbh.opencompass_answer(item, text) == opencompass
    assert bbh.reference_answer(item, text) == reference


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) >= 30


@given(st.text(), st.sampled_from([CHOICE, WORDS, YES, DYCK, NUMBER]))
def test_extraction_never_raises(text: str, item: Sample) -> None:
    bbh.opencompass_answer(item, text)
    bbh.opencompass_answer(item, f"the answer is {text}")
    bbh.reference_answer(item, f"the answer is {text}")


def score(samples: list[Sample], texts: list[str]) -> float:
    right = [
        bbh.opencompass_answer(s, t) == s["target"] for s, t in zip(samples, texts, strict=True)
    ]
    return right.count(True) / len(right)


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
    samples = datasets.bbh()
    perfect = [f"So the answer is {item['target']}." for item in samples]
    assert score(samples, perfect) == 1
    assert score(samples, ["no idea"] * 5) == 0
    assert score(samples, [*perfect[:2], "the answer is (B)", "(B)", "pear"]) == 3 / 5
    assert [item.id for item in samples][1:3] == ["boolean_expressions/1", "date_understanding/0"]


@pytest.mark.usefixtures("shared")
def test_every_real_target_is_read_from_its_own_sentence() -> None:
    samples = datasets.bbh()
    assert len(samples) == 6511
    assert len({item.group for item in samples}) == 27
    assert {item.group for item in samples} > bbh.MULTIPLE_CHOICE
    texts = [f"So the answer is {item['target']}." for item in samples]
    # The targets of two items are no options: they have to be said without a dot.
    assert score(samples, texts) == 6509 / 6511
    assert score(samples, [text[:-1] for text in texts]) == 1
    assert all(
        bbh.reference_answer(item, f"So the answer is {item['target']}.") == item["target"]
        for item in samples
    )


@pytest.mark.usefixtures("shared")
def test_no_prompt_has_the_canary() -> None:
    for item in datasets.bbh()[::100]:
        assert "canary" not in item["cot_prompt"]
        assert item["cot_prompt"].count("\nQ: ") == 3
