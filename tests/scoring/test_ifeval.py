from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import english, ifeval
from lightllm_evals.scoring.instructions import CHECKERS, is_followed

for extra in ("langdetect", "punkt"):
    pytest.importorskip(extra, reason=f"{extra} comes with the extra ifeval")

ENGLISH = "this is a plain sentence about the weather in the north of the country"

# Kind, arguments, a response that follows, one that does not.
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["tea", "cup"]}, "A CUP of tea", "A cup"),
    (
        "keywords:frequency",
        {"keyword": "tea", "frequency": 2, "relation": "at least"},
        "tea teapot",
        "tea",
    ),
    (
        "keywords:frequency",
        {"keyword": "tea", "frequency": 2, "relation": "less than"},
        "tea",
        "tea, Tea",
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["tea"]}, "teapot", "Tea!"),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_frequency": 2, "let_relation": "at least"},
        "qQ",
        "q",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 1, "let_relation": "at least"},
        "#",
        "x",
    ),
    (
        "language:response_language",
        {"language": "de"},
        "Das ist ein ganz einfacher Satz.",
        "This is quite a simple sentence.",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Li came. She left.",
        "Dr. Li came.",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        "It cost 3.50 in the U.S. market.",
        "One. Two. Three.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\na***b ***", "a******b"),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        "it's on",
        "on it",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Rain"},
        'Sun\n\n"rain, it is',
        "Rain\n\nSun",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "a"},
        "A.b",
        "b",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a b]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye\np. s. hello", "PS hi"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.P.S hi", "P.S. hi"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b", "** a\n- b"),
    ("detectable_format:constrained_response", {}, "Well, My answer is no.", "My answer is No."),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*a* *b*",
        "*a* * * **",
    ),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "**a**", "** **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1 a Section 2",
        "section 1 Section 2",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "```json\n{a: 1}```"),
    ("detectable_format:title", {}, "<<Rain>>\nIt", "<<  >> <Rain>"),
    ("combination:two_responses", {}, "a******b", "a******a"),
    ("combination:two_responses", {}, "******a******b******", "a******\n******b"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi. "}, " say hi. Hi", "Hi. Say hi."),
    ("startend:end_checker", {"end_phrase": "The End."}, 'x the end."', "The end. x"),
    ("startend:quotation", {}, ' "a" ', '"'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 3, "capital_relation": "at least"},
        "I CAN'T GO",
        "I can GO",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH, ENGLISH.capitalize()),
    ("punctuation:no_comma", {}, "a; b，c", "a, b"),
]


@pytest.mark.parametrize(("kind", "arguments", "right", "wrong"), CASES)
def test_each_kind_tells_followed_from_not(
    kind: str, arguments: dict[str, Any], right: str, wrong: str
) -> None:
    assert is_followed(kind, arguments, right)
    assert not is_followed(kind, arguments, wrong)
    assert not is_followed(kind, arguments, " \n")
    assert is_followed(kind, {**arguments, "unused": None}, right)


def test_all_kinds_have_cases() -> None:
    assert {case[0] for case in CASES} == set(CHECKERS)
    assert len(CHECKERS) == 25
    assert len(CASES) >= 30


@given(st.text())
def test_checking_never_raises(text: str) -> None:
    for kind, arguments, _, _ in CASES:
        is_followed(kind, arguments, text)


def test_words_are_split_as_in_the_penn_treebank() -> None:
    text = "\"I CAN'T,\" she said (it's 3,500.50 $); CANNOT... end."
    assert english.tokens(text) == [
        *("``", "I", "CA", "N'T", ",", "''", "she", "said", "(", "it", "'s", "3,500.50", "$"),
        *(")", ";", "CAN", "NOT", "...", "end", "."),
    ]


def test_a_text_without_a_language_counts_as_right() -> None:
    assert english.is_language("123", "en")


def test_loose_texts_drop_lines_and_asterisks() -> None:
    assert ifeval.loose_texts("Sure:\n*a*\nb\nBye") == (
        "Sure:\n*a*\nb\nBye",
        "*a*\nb\nBye",
        "Sure:\n*a*\nb",
        "*a*\nb",
        "Sure:\na\nb\nBye",
        "a\nb\nBye",
        "Sure:\na\nb",
        "a\nb",
    )


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_responses_have_known_scores() -> None:
    samples = datasets.ifeval()

    def score(texts: list[str]) -> tuple[float, float, float, float]:
        found = [ifeval.followed(s, t) for s, t in zip(samples, texts, strict=True)]
        strict = [holds for each in found for holds in each.strict]
        loose = [holds for each in found for holds in each.loose]
        return (
            sum(all(each.strict) for each in found) / len(found),
            sum(strict) / len(strict),
            sum(all(each.loose) for each in found) / len(found),
            sum(loose) / len(loose),
        )

    assert score(["Rain falls.", ENGLISH, "* tea\n* more tea"]) == (1, 1, 1, 1)
    assert score(["a, b", "NO", "none"]) == (0, 0, 0, 0)
    assert score(["Sure, here:\nRain falls.", ENGLISH.upper(), "- tea\n- coffee"]) == (
        0,
        2 / 5,
        1 / 3,
        3 / 5,
    )


@pytest.mark.usefixtures("shared")
def test_the_real_prompts_have_only_known_kinds() -> None:
    samples = datasets.ifeval()
    assert len(samples) == 541
    assert sum(len(sample["kwargs"]) for sample in samples) == 834
    assert {kind for sample in samples for kind in sample["instruction_id_list"]} == set(CHECKERS)
    for sample in samples[::10]:
        ifeval.followed(sample, "A short answer, no more.")


def test_an_unknown_kind_is_an_error() -> None:
    sample = Sample(id="0", fields={"instruction_id_list": ["new:kind"], "kwargs": [{}]})
    with pytest.raises(KeyError, match="new:kind"):
        ifeval.followed(sample, "text")
