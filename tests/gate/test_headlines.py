"""The gate judges by the headline metric: fractions, perplexities, weights and macro means."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp, ttest_rel

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import (
    GateResult,
    RunScores,
    Verdict,
    compare,
    judge,
    parse_min_condition,
    parse_policy,
    verdict_lines,
    verdict_markdown,
)
from lightllm_evals.runs.baseline import baseline_text, parse_baseline
from lightllm_evals.stats import ratio_interval

MakeRun = Callable[..., RunScores]

# Sixteen pages, their words, and the mean log-probability of a word in each.
WORDS = [100 + 10 * i for i in range(16)]
LOGPROBS = [-3.0 + 0.02 * (i % 5) for i in range(16)]


def pages(make_run: MakeRun, shift: float, wobble: float = 0.01) -> RunScores:
    """Returns a run whose pages' log-probabilities moved by about ``shift``."""
    moved = [p + shift + wobble * (-1) ** i for i, p in enumerate(LOGPROBS)]
    run = make_run(moved, benchmark="wikitext2", metric="word_perplexity")
    samples = {
        name: dataclasses.replace(sample, weight=float(words))
        for (name, sample), words in zip(run.samples.items(), WORDS, strict=True)
    }
    return dataclasses.replace(run, samples=samples)


def judged(run: RunScores, baseline: RunScores, policy: str = "drop<=2") -> GateResult:
    name = run.identity.benchmark
    return judge({name: run}, {name: baseline}, parse_policy(policy))


def test_f1_is_compared_by_the_paired_t_test(make_run: MakeRun) -> None:
    then = [0.1 * (i % 11) for i in range(44)]
    now = [max(0.0, score - 0.05 * (i % 3)) for i, score in enumerate(then)]
    found = compare(make_run(then, metric="f1"), make_run(now, metric="f1"))
    expected = ttest_rel(now, then, alternative="less")
    assert found.test == "paired t test"
    assert found.p_one_sided == pytest.approx(expected.pvalue)
    assert found.difference.value == pytest.approx(np.mean(now) - np.mean(then))
    assert (found.then.value, found.now.value) == pytest.approx((np.mean(then), np.mean(now)))
    assert judged(make_run(now, metric="f1"), make_run(then, metric="f1")).verdict is (
        Verdict.REGRESSED
    )


def test_a_perplexity_is_the_headline_and_its_logarithm_is_compared(make_run: MakeRun) -> None:
    then, now = pages(make_run, 0.0, 0.0), pages(make_run, -0.1)
    found = compare(then, now)
    total = sum(WORDS)
    before = -math.fsum(p * w for p, w in zip(LOGPROBS, WORDS, strict=True)) / total
    change = math.fsum((-0.1 + 0.01 * (-1) ** i) * w for i, w in enumerate(WORDS)) / total
    assert found.then.value == pytest.approx(math.exp(before))
    assert found.now.value == pytest.approx(math.exp(before - change))
    assert found.difference.value == pytest.approx(change)
    assert found.drop == pytest.approx(-change)
    # The t test of a ratio of sums, by the interval's own formula.
    moved = [(-0.1 + 0.01 * (-1) ** i) * w for i, w in enumerate(WORDS)]
    by_ratio = ratio_interval(moved, WORDS)
    assert by_ratio is not None
    error = (by_ratio.high - by_ratio.low) / 2 / student_t.ppf(0.975, 15)
    assert found.p_one_sided == pytest.approx(student_t.cdf(change / error, 15))
    interval = found.difference.interval
    assert interval is not None
    assert change in interval


def test_a_worse_perplexity_regressed_and_a_better_one_passes(make_run: MakeRun) -> None:
    baseline = pages(make_run, 0.0, 0.0)
    worse = judged(pages(make_run, -0.1), baseline)
    assert worse.verdict is Verdict.REGRESSED
    text = "\n".join(verdict_lines(worse))
    assert "word_perplexity 19.33 -> 21.36, -0.1003 nats (-0.1" in text
    assert "lost 0.1003 nats, more than 0.02 allowed, beyond noise" in text
    assert " nats" in text.partition("smallest drop this run could see: ")[2].splitlines()[0]
    assert "%" not in text
    assert "| 19.33 | 21.36 | -0.1003 nats (" in verdict_markdown(worse)
    better = judged(pages(make_run, +0.1), baseline)
    assert better.verdict is Verdict.PASS
    assert "gained 0.0997 nats, 0.02 allowed" in "\n".join(verdict_lines(better))


def test_an_identical_perplexity_passes_and_claims_no_power(make_run: MakeRun) -> None:
    result = judged(pages(make_run, 0.0, 0.0), pages(make_run, 0.0, 0.0))
    assert result.verdict is Verdict.PASS
    comparison = result.benchmarks[0].comparison
    assert comparison is not None
    assert (comparison.difference.value, comparison.difference.interval) == (0.0, None)
    assert comparison.smallest_visible_drop is None
    text = "\n".join(verdict_lines(result))
    assert "the differences did not vary" in text
    assert "too few samples" not in text


def test_bits_are_judged_with_their_sign_turned(make_run: MakeRun) -> None:
    then = make_run([-1.0, -1.2, -1.1] * 6, metric="bits_per_byte")
    now = make_run([-1.1, -1.31, -1.22] * 6, metric="bits_per_byte")
    result = judged(now, then)
    assert result.verdict is Verdict.REGRESSED
    assert "bits_per_byte 1.1000 -> 1.2100, -0.1100 bits (" in "\n".join(verdict_lines(result))


def test_a_perplexity_has_a_ceiling_and_no_floor(make_run: MakeRun) -> None:
    run = pages(make_run, 0.0, 0.0)
    name = run.identity.benchmark
    policy = parse_policy("word_perplexity<=19")
    result = judge({name: run}, {}, policy)
    assert result.verdict is Verdict.REGRESSED
    assert "word_perplexity 19.33 is above the ceiling 19" in "\n".join(verdict_lines(result))
    assert judge({name: run}, {}, parse_policy("word_perplexity<=20")).verdict is Verdict.PASS
    missing = judge({name: run}, {}, parse_policy("bits_per_byte<=2"))
    assert missing.verdict is Verdict.INCOMPLETE
    with pytest.raises(ConfigError, match=r"less is better; write word_perplexity<=20 instead"):
        parse_policy("word_perplexity>=20")
    assert parse_min_condition("wikitext2:word_perplexity<=30").threshold == 30


def test_a_macro_mean_is_what_is_compared_and_errors_are_those_of_groups(
    make_run: MakeRun,
) -> None:
    groups = ["a"] * 30 + ["b"] * 6 + ["c"] * 12
    then = [1] * 48
    now = [1] * 30 + [0, 0, 0, 1, 1, 1] + [0] * 3 + [1] * 9
    runs = [
        make_run(scores, metric="acc", aggregation="macro", groups=groups)
        for scores in (then, now)
    ]
    found = compare(*runs)
    # Groups lose 0, 1/2 and 1/4.
    assert found.now.value == pytest.approx(0.75)
    assert found.difference.value == pytest.approx(-0.25)
    by_t = ttest_1samp([0.0, -0.5, -0.25], 0.0, alternative="two-sided")
    assert found.p_two_sided == pytest.approx(by_t.pvalue)
    interval, expected = found.difference.interval, by_t.confidence_interval()
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert found.test == "exact McNemar test and cluster-robust t test over 3 groups"


def test_fractions_in_groups_have_cluster_robust_errors(make_run: MakeRun) -> None:
    groups = [f"passage {i // 4}" for i in range(80)]
    then = [0.5 + 0.02 * (i % 7) for i in range(80)]
    # Every passage loses or gains as a whole.
    now = [score + (0.1 if i // 4 % 2 else -0.14) for i, score in enumerate(then)]
    apart, together = (
        compare(make_run(then, groups=g), make_run(now, groups=g)) for g in ([], groups)
    )
    assert together.test == "paired t test over 20 groups"
    assert together.num_clusters == 20
    assert together.p_one_sided > apart.p_one_sided
    assert together.smallest_visible_drop is not None
    assert apart.smallest_visible_drop is not None
    assert together.smallest_visible_drop > apart.smallest_visible_drop


def test_another_headline_is_not_comparable(make_run: MakeRun) -> None:
    result = judged(make_run([1] * 20, metric="f1"), make_run([1] * 20, metric="pass@1"))
    assert result.verdict is Verdict.NOT_COMPARABLE
    assert "metric: pass@1 -> f1" in "\n".join(verdict_lines(result))
    result = judged(make_run([1] * 20, aggregation="macro"), make_run([1] * 20))
    assert "aggregation: micro -> macro" in "\n".join(verdict_lines(result))


def test_must_pass_asks_whether_it_passed_whatever_the_headline(make_run: MakeRun) -> None:
    run = make_run([0.6, 0.8], metric="f1")
    samples = dict(zip(run.samples, (0, 1), strict=True))
    run = dataclasses.replace(
        run,
        samples={
            name: dataclasses.replace(run.samples[name], num_failed=failed)
            for name, failed in samples.items()
        },
    )
    good, bad = samples
    assert judge({"x": run}, {}, parse_policy(f"must_pass={good}")).verdict is Verdict.PASS
    assert judge({"x": run}, {}, parse_policy(f"must_pass={bad}")).verdict is Verdict.REGRESSED


def test_weights_and_macro_means_survive_the_baseline_file(make_run: MakeRun) -> None:
    run = dataclasses.replace(pages(make_run, 0.0), aggregation="macro", source="x")
    first = next(iter(run.samples))
    failed = dataclasses.replace(run.samples[first], num_failed=0, latency_s=())
    run = dataclasses.replace(run, samples={first: failed}, planned=1)
    assert parse_baseline(baseline_text(run), "x") == run
