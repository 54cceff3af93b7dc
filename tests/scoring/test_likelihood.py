from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals import datasets
from lightllm_evals.prompts import commonsense, exams, language
from lightllm_evals.records import Choice, Likelihood, Sample
from lightllm_evals.scoring import likelihood as scoring
from lightllm_evals.scoring import targets

logprobs = st.floats(min_value=-1e4, max_value=0)


def likelihoods(*sums: float, num_tokens: Sequence[int] = ()) -> list[Likelihood]:
    counts = num_tokens or [1] * len(sums)
    return [Likelihood(logprob=s, num_tokens=n) for s, n in zip(sums, counts, strict=True)]


def choices(*texts: str) -> list[Choice]:
    return [Choice(context="", continuation=f" {text}", text=text) for text in texts]


def test_the_three_accuracies_can_all_differ() -> None:
    # Sums -2, -3 and -4; a character -2, -1 and -1.33; a byte -2, -1 and -0.44.
    given_choices = choices("a", "abc", "中文字")
    found = [scoring.choice_scores(given_choices, likelihoods(-2, -3, -4), t) for t in range(3)]
    assert found == [
        {"acc": 1, "acc_norm": 0, "acc_bytes": 0},
        {"acc": 0, "acc_norm": 1, "acc_bytes": 0},
        {"acc": 0, "acc_norm": 0, "acc_bytes": 1},
    ]


def test_of_equal_values_the_first_wins() -> None:
    assert scoring.best([-1, -1]) == 0
    assert scoring.best([-2, -1, -1]) == 1
    assert scoring.best([-math.inf, -math.inf]) == 0


def test_a_value_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a number"):
        scoring.best([-1, math.nan])
    with pytest.raises(ValueError, match="empty"):
        scoring.best([])


def test_an_empty_choice_loses_where_lengths_count() -> None:
    found = scoring.choice_scores(choices("", "a"), likelihoods(-1, -9), 1)
    assert found == {"acc": 0, "acc_norm": 1, "acc_bytes": 1}


def test_ppl_full_takes_the_least_mean_loss() -> None:
    both = likelihoods(-10, -12, num_tokens=[5, 10])
    assert scoring.ppl_full_score(both, 1) == 1
    assert scoring.ppl_full_score(both, 0) == 0


def test_mc1_is_right_if_the_first_answer_wins() -> None:
    assert scoring.mc1(likelihoods(-1, -2)) == 1
    assert scoring.mc1(likelihoods(-2, -1)) == 0


def test_mc2_is_the_share_of_true_answers() -> None:
    found = scoring.mc2(likelihoods(math.log(0.3), math.log(0.1), math.log(0.1)), [1, 0, 1])
    assert found == pytest.approx(0.8)


def test_mc2_has_a_value_where_probabilities_underflow() -> None:
    assert scoring.mc2(likelihoods(-2000, -2000, -2000), [1, 0, 0]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="above zero"):
        scoring.mc2(likelihoods(-math.inf, -math.inf), [1, 0])


@given(st.lists(st.tuples(logprobs, st.integers(0, 1)), min_size=1))
def test_mc2_is_a_share_and_its_complement_the_rest(answers: list[tuple[float, int]]) -> None:
    sums = likelihoods(*(logprob for logprob, _ in answers))
    labels = [label for _, label in answers]
    true = scoring.mc2(sums, labels)
    assert 0 <= true <= 1
    assert true + scoring.mc2(sums, [1 - label for label in labels]) == pytest.approx(1)


@given(st.lists(logprobs, min_size=1), st.floats(min_value=0.1, max_value=10))
def test_the_best_choice_does_not_depend_on_scale(values: list[float], scale: float) -> None:
    best = scoring.best(values)
    assert values[best] == max(values)
    assert [v * scale for v in values][best] == max(v * scale for v in values)


def test_perplexity_is_the_inverse_of_the_geometric_mean() -> None:
    assert scoring.perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(4)
    assert scoring.perplexity([]) is None


def test_rolling_perplexities_count_the_original_page() -> None:
    # " a b " splits into "", "a", "b" and "": four words, five bytes.
    found = scoring.rolling_perplexities([" a b "], [-5 * math.log(2)])
    assert found["word_perplexity"] == pytest.approx(2 ** (5 / 4))
    assert found["byte_perplexity"] == pytest.approx(2)
    assert found["bits_per_byte"] == pytest.approx(1)
    assert scoring.rolling_perplexities([], []) == {}


Source = Callable[[], list[Sample]]
Choices = Callable[[Sample], Sequence[Choice]]
Target = Callable[[Sample], int]

# Source, choices, target; of the real files: samples, choices, how often the first is right.
TASKS: list[tuple[Source, Choices, Target, int, set[int], int]] = [
    (datasets.mmlu, exams.mmlu, targets.answer_index, 14042, {4}, 3222),
    (datasets.ceval, exams.ceval_opencompass, targets.answer_letter, 1346, {4}, 310),
    (datasets.cmmlu, exams.cmmlu_opencompass, targets.answer_letter, 11582, {4}, 2926),
    (datasets.commonsenseqa, exams.commonsenseqa, targets.index_target, 1221, {5}, 239),
    (datasets.arc_challenge, commonsense.arc, targets.index_target, 1172, {3, 4, 5}, 266),
    (datasets.arc_easy, commonsense.arc, targets.index_target, 2376, {3, 4, 5}, 596),
    (datasets.hellaswag, commonsense.hellaswag, targets.label, 10042, {4}, 2515),
    (datasets.piqa, commonsense.piqa, targets.label, 1838, {2}, 910),
    (datasets.winogrande, commonsense.winogrande, targets.option_number, 1267, {2}, 628),
    (datasets.openbookqa, commonsense.openbookqa, targets.index_target, 500, {4}, 138),
    (datasets.boolq, commonsense.boolq, targets.boolean, 3270, {2}, 1237),
]
NAMES = [task[0].__name__ for task in TASKS]


def accuracy(samples: list[Sample], task: Choices, target: Target, chosen: list[int]) -> float:
    right = 0.0
    for sample, index in zip(samples, chosen, strict=True):
        of_sample = task(sample)
        sums = likelihoods(*(-0.001 if i == index else -1e6 for i in range(len(of_sample))))
        right += scoring.choice_scores(of_sample, sums, target(sample))["acc_norm"]
    return right / len(samples)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("source", "task", "target", "n", "sizes", "first"), TASKS, ids=NAMES)
def test_perfect_wrong_and_mixed_choices_have_known_scores(
    source: Source, task: Choices, target: Target, n: int, sizes: set[int], first: int
) -> None:
    samples = source()
    perfect = [target(sample) for sample in samples]
    wrong = [(index + 1) % len(task(s)) for s, index in zip(samples, perfect, strict=True)]
    mixed = [perfect[0], *wrong[1:]]
    assert accuracy(samples, task, target, perfect) == 1
    assert accuracy(samples, task, target, wrong) == 0
    assert accuracy(samples, task, target, mixed) == 1 / len(samples)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("source", "task", "target", "n", "sizes", "first"), TASKS, ids=NAMES)
def test_real_samples_have_the_published_number_and_valid_targets(
    source: Source, task: Choices, target: Target, n: int, sizes: set[int], first: int
) -> None:
    samples = source()
    assert len(samples) == n
    assert len({sample.id for sample in samples}) == n
    assert {len(task(sample)) for sample in samples} <= sizes
    assert all(0 <= target(sample) < len(task(sample)) for sample in samples)
    assert sum(target(sample) == 0 for sample in samples) == first


@pytest.mark.usefixtures("shared")
def test_continuations_open_with_one_joining_space_and_contexts_end_without() -> None:
    for source, task, *_ in TASKS:
        for sample in source()[::50]:
            for choice in task(sample):
                assert choice.continuation == f" {choice.text}"
                assert not choice.context.endswith("\n")


@pytest.mark.usefixtures("shared")
def test_truthfulqa_has_one_true_answer_first_and_several_in_mc2() -> None:
    samples = datasets.truthfulqa()
    assert len(samples) == 817
    for sample in samples:
        assert list(sample["mc1_targets"].values()) == [1, *[0] * (len(sample["mc1_targets"]) - 1)]
        assert {0, 1} == set(targets.truth_labels(sample))
        assert len(commonsense.truthfulqa_mc2(sample)) == len(targets.truth_labels(sample))


@pytest.mark.usefixtures("shared")
def test_lambada_and_wikitext_have_the_published_sizes() -> None:
    passages, pages = datasets.lambada(), datasets.wikitext2()
    assert len(passages) == 5153
    assert sum("\n" in language.lambada(sample)[0].text for sample in passages) == 7
    assert len(pages) == 62
    assert "\n".join(page["page"] for page in pages).count(" = Robert Boulter = ") == 1
    assert sum(len(page["page"].split()) for page in pages) == 241_211


@given(st.text())
def test_texts_of_any_kind_can_be_detokenized_and_split(text: str) -> None:
    language.detokenized(text)
    (choice,) = language.lambada(Sample(id="0", fields={"text": text}))
    assert choice.context + choice.continuation in {text, f" {text}"}
    assert "".join(datasets.language.articles(text)).replace("\n", "") in text.replace("\n", "")
