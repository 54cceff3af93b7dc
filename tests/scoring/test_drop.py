from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.records import Sample
from lightllm_evals.scoring import drop

# Predicted text, accepted answers, exact match, F1.
SCORES = [
    ("24", [["24"]], 1, 1.0),
    ("24.0", [["24"]], 1, 1.0),
    ("24 points", [["24"]], 0, 0.67),
    ("25", [["24"]], 0, 0.0),
    ("twenty-four", [["24"]], 0, 0.0),
    ("1,240", [["1240"]], 1, 1.0),
    ("$24", [["24"]], 1, 1.0),
    ("24%", [["24"]], 1, 1.0),
    ("-5", [["5"]], 1, 1.0),
    ("the Reds", [["Reds"]], 1, 1.0),
    ("a Red, an owl", [["Red owl"]], 1, 1.0),
    ("Reds!", [["reds"]], 1, 1.0),
    ("The Reds team", [["Reds"]], 0, 0.67),
    ("Blues", [["Reds"]], 0, 0.0),
    ("Reds", [["Blues"], ["Reds"]], 1, 1.0),
    ("Anna Berg", [["Anna Berg", "Carl Dahl"]], 0, 0.5),
    ("Anna Berg, Carl Dahl", [["Anna Berg", "Carl Dahl"]], 0, 0.33),
    ("Anna", [["Anna Berg"]], 0, 0.67),
    ("3 May 1990", [["3 May 1990"]], 1, 1.0),
    ("May 3, 1990", [["3 May 1990"]], 0, 1.0),
    ("May 1990", [["3 May 1990"]], 0, 0.8),
    ("May", [["3 May 1990"]], 0, 0.0),
    ("well-known", [["well known"]], 1, 1.0),
    ("", [["24"]], 0, 0.0),
    ("", [["the"]], 1, 1.0),
    ("the", [["24"]], 0, 0.0),
    ("24", [[" "], ["24"]], 1, 1.0),
    ("24", [[" "]], 0, 0.0),
    ("24", [], 0, 0.0),
    ("nan", [["24"]], 0, 0.0),
    ("1e3", [["1000"]], 1, 1.0),
]


@pytest.mark.parametrize(("answer", "targets", "exact_match", "f1"), SCORES)
def test_tricky_answers_have_the_official_scores(
    answer: str, targets: list[list[str]], exact_match: int, f1: float
) -> None:
    item = Sample(id="0", fields={"answers": targets})
    assert drop.best_score(item, answer) == (exact_match, f1)


def test_there_are_thirty_tricky_answers() -> None:
    assert len(SCORES) >= 30


def test_only_the_first_line_is_the_answer() -> None:
    item = Sample(id="0", fields={})
    assert drop.answer_line(item, " 24 \nPassage: more") == "24"
    assert drop.answer_line(item, "\n\n24") == "24"
    assert drop.answer_line(item, "") == ""


@given(st.text(), st.lists(st.lists(st.text(), max_size=3), max_size=3))
def test_scoring_never_raises_and_stays_in_its_range(text: str, targets: list[list[str]]) -> None:
    item = Sample(id="0", fields={"answers": targets})
    exact_match, f1 = drop.best_score(item, drop.answer_line(item, text))
    assert exact_match in {0, 1}
    assert 0 <= f1 <= 1


def mean_f1(samples: list[Sample], texts: list[str]) -> float:
    return sum(
        drop.best_score(item, drop.answer_line(item, text)).f1
        for item, text in zip(samples, texts, strict=True)
    ) / len(samples)


@pytest.mark.usefixtures("tiny")
def test_perfect_garbage_and_mixed_completions_have_known_scores() -> None:
    samples = datasets.drop()
    perfect = [" ".join(item["answers"][0]) for item in samples]
    # The third question has two spans, and a text is one: 0.67 for one of them, over two.
    assert mean_f1(samples, perfect) == pytest.approx((1 + 1 + 0.33 + 1) / 4)
    assert mean_f1(samples, ["no idea"] * 4) == 0
    assert mean_f1(samples, ["24", "Blues", "Carl Dahl", "May 1990"]) == pytest.approx(2.3 / 4)


@pytest.mark.usefixtures("shared")
def test_the_ceiling_of_the_real_questions_is_known() -> None:
    samples = datasets.drop()
    best = [
        max(drop.best_score(item, " ".join(target)) for target in item["answers"])
        for item in samples
    ]
    assert len(samples) == 1000
    # The other 32 accept only answers of several spans.
    assert sum(score.exact_match for score in best) == 968
