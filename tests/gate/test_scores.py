from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import (
    Identity,
    RunScores,
    SampleScores,
    flip_rate,
    fold,
    noise,
    noise_lines,
    parse_policy,
    score_differences,
    timing_differences,
)
from lightllm_evals.gate.comparison import spread

MakeRun = Callable[..., RunScores]


def test_differences_are_named_with_both_values() -> None:
    then = Identity(benchmark="gsm8k", prompt="aa", params={"max_new_tokens": 256})
    now = Identity(benchmark="gsm8k", prompt="bb", params={"max_new_tokens": 512, "top_k": -1})
    assert [str(difference) for difference in score_differences(then, now)] == [
        "prompt: aa -> bb",
        "params.max_new_tokens: 256 -> 512",
        "params.top_k: nothing -> -1",
    ]


def test_the_server_is_judged_and_so_may_differ() -> None:
    then = Identity(benchmark="gsm8k", model="m", server={"version": "1"}, concurrency=8)
    now = Identity(benchmark="gsm8k", model="m-awq", server={"version": "2"}, concurrency=2)
    assert score_differences(then, now) == ()
    assert [str(d) for d in timing_differences(then, now)] == ["concurrency: 8 -> 2"]


def test_a_tuple_equals_the_list_that_json_made_of_it() -> None:
    then = Identity(benchmark="x", params={"stop_sequences": ["\n\n"]})
    assert (
        score_differences(then, Identity(benchmark="x", params={"stop_sequences": ("\n\n",)}))
        == ()
    )


def test_metrics_have_a_value_or_none(make_run: MakeRun) -> None:
    run = make_run([[1, 0], [0, 0], [1, 1], [1, 1]], metrics={"strict": 0.25})
    assert run.metric_value("pass@1") == pytest.approx(0.625)
    assert run.metric_value("pass@2") == pytest.approx(0.75)
    assert run.metric_value("pass@3") is None
    assert run.metric_value("pass@0") is None
    assert run.metric_value("strict") == 0.25
    assert run.metric_value("accuracy") == run.headline().value == pytest.approx(0.625)
    assert run.metric_value("flexible") is None


def test_shares_count_completions() -> None:
    sample = SampleScores(
        scores=(1.0, 0.0), finish_reasons=("stop", "length"), num_empty=1, num_unextracted=2
    )
    run = RunScores(identity=Identity(benchmark="x"), samples={"a": sample}, planned=2)
    shares = [run.share(kind) for kind in ("truncated", "empty", "unextracted")]
    assert shares == [0.5, 0.5, 1.0]
    assert dataclasses.replace(run, samples={}).share("empty") == 0.0


def test_folded_runs_keep_every_score_in_order(make_run: MakeRun) -> None:
    runs = [make_run([1, 0]), make_run([1, 1]), make_run([0, 1])]
    folded = fold(runs)
    assert folded.num_runs == 3
    assert (folded.planned, folded.scored) == (6, 6)
    assert list(folded.samples["humaneval/0"].scores) == [1, 1, 0]
    assert len(folded.samples["humaneval/0"].latency_s) == 3
    assert fold([fold(runs[:2]), runs[2]]) == folded


def test_what_is_no_repetition_cannot_be_folded(make_run: MakeRun) -> None:
    first = make_run([1, 0])
    with pytest.raises(ConfigError, match="concurrency: nothing -> 8"):
        fold([first, make_run([1, 0], identity={"concurrency": 8})])
    with pytest.raises(ConfigError, match=r"1 samples such as humaneval/2"):
        fold([first, make_run([1, 0, 1])])
    with pytest.raises(ConfigError, match="2 of 3 completions"):
        fold([first, make_run([1, 0], planned=3)])
    with pytest.raises(ConfigError, match="at least one"):
        fold([])


def test_the_flip_rate_is_that_of_any_two_runs(make_run: MakeRun) -> None:
    # Of three runs the first sample differs in two of three pairs, the second in none.
    folded = fold([make_run([1, 0]), make_run([1, 0]), make_run([0, 0])])
    assert flip_rate(folded) == pytest.approx((2 / 3) / 2)
    assert flip_rate(make_run([1, 0])) is None


def test_repeats_flip_as_far_as_their_means_differ(make_run: MakeRun) -> None:
    folded = fold([make_run([[1, 0], [1, 1]]), make_run([[0, 1], [1, 0]])])
    assert flip_rate(folded) == pytest.approx(0.25)


def test_noise_recommends_a_policy_that_noise_seldom_exceeds(make_run: MakeRun) -> None:
    base = [1] * 50 + [0] * 50
    runs = [make_run(base), make_run([0, 0, *base[2:98], 1, 1]), make_run(base)]
    found = noise(runs)
    assert found.flipped == ("humaneval/0", "humaneval/1", "humaneval/98", "humaneval/99")
    assert found.flip_rate == pytest.approx(4 * 2 / 3 / 100)
    assert found.scores == (0.5, 0.5, 0.5)
    policy = parse_policy(found.policy).for_benchmark("humaneval")
    assert policy.max_drop == pytest.approx(found.tolerance)
    assert found.smallest_visible_drop is not None
    assert found.smallest_visible_drop > found.tolerance
    text = "\n".join(noise_lines(found))
    assert "4 samples flipped (4.00%); any two runs differ in 2.67%" in text
    assert f"--lightllm-gate '{found.policy}'" in text


def test_noise_needs_two_runs(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match="at least two"):
        noise([make_run([1, 0])])


def test_a_deterministic_server_is_allowed_one_sample(make_run: MakeRun) -> None:
    found = noise([make_run([1] * 200)] * 3)
    assert (found.flip_rate, found.tolerance) == (0.0, 0.005)


def test_noise_of_a_macro_mean_is_that_of_its_weighted_differences(make_run: MakeRun) -> None:
    # Two samples of the small group move the mean as much as fifty of the large one.
    groups = ["small"] * 4 + ["large"] * 100
    first = [1, 0, 1, 0] + [1] * 100
    second = [0, 0, 1, 0] + [1] * 100
    runs = [make_run(each, groups=groups, aggregation="macro") for each in (first, second)]
    found = noise(runs)
    assert found.scores == pytest.approx((0.75, 0.625))
    by_t = spread(*runs)
    assert by_t is not None
    # One degree of freedom: two groups.
    assert found.tolerance == pytest.approx(6.314 * by_t.standard_error, abs=0.001)
    text = "\n".join(noise_lines(found))
    assert "scores 75.0, 62.5 %" in text
    assert "1 samples flipped" in text
    assert "one point would take" not in text


def test_fractional_scores_do_not_flip_and_are_judged_by_their_spread(make_run: MakeRun) -> None:
    first = [0.5 + 0.01 * (i % 3) for i in range(200)]
    second = [0.5 + 0.01 * (i % 2) for i in range(200)]
    found = noise([make_run(first, metric="f1"), make_run(second, metric="f1")])
    assert found.tolerance == pytest.approx(0.005)
    assert found.flipped
    text = "\n".join(noise_lines(found))
    assert "flipped" not in text
    assert "samples changed" in text
