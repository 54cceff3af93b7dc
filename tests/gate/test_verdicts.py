from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

import pytest

from lightllm_evals.gate import (
    GateResult,
    GateStatus,
    RunScores,
    Verdict,
    compare,
    compare_timing,
    judge,
    parse_policy,
    verdict_lines,
    verdict_markdown,
)
from lightllm_evals.records import to_json
from lightllm_evals.stats import samples_needed

MakeRun = Callable[..., RunScores]

BASE = [1] * 21 + [0] * 143


def judged(run: RunScores, baseline: RunScores | None, policy: str = "") -> GateResult:
    baselines = {"humaneval": baseline} if baseline else {}
    return judge({"humaneval": run}, baselines, parse_policy(policy))


def reasons(result: GateResult) -> str:
    return "\n".join(check.reason for check in result.benchmarks[0].checks)


def flipped(broken: int, fixed: int) -> list[int]:
    """Returns BASE with its first passing samples broken and its last failing ones fixed."""
    return [0] * broken + BASE[broken : len(BASE) - fixed] + [1] * fixed


def test_an_identical_run_passes(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), make_run(BASE), "drop<=2")
    assert (result.verdict, result.exit_status) == (Verdict.PASS, 0)


def test_six_broken_of_164_regressed_and_are_named(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(6, 0)), make_run(BASE), "drop<=2")
    assert (result.verdict, result.exit_status) == (Verdict.REGRESSED, 1)
    comparison = result.benchmarks[0].comparison
    assert comparison is not None
    assert comparison.broken == tuple(f"humaneval/{i}" for i in range(6))
    assert comparison.p_one_sided == pytest.approx(1 / 64)
    assert comparison.drop == pytest.approx(6 / 164)


def test_three_broken_and_three_fixed_pass(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(3, 3)), make_run(BASE))
    assert result.verdict is Verdict.PASS
    comparison = result.benchmarks[0].comparison
    assert comparison is not None
    assert (len(comparison.broken), len(comparison.fixed)) == (3, 3)


def test_a_drop_that_noise_could_make_is_inconclusive(make_run: MakeRun) -> None:
    # Four broken are 2.4 points, and p is 1/16.
    result = judged(make_run(flipped(4, 0)), make_run(BASE))
    assert (result.verdict, result.exit_status) == (Verdict.INCONCLUSIVE, 11)
    assert "noise could do that" in reasons(result)


def test_a_significant_drop_within_the_tolerance_passes(make_run: MakeRun) -> None:
    assert judged(make_run(flipped(6, 0)), make_run(BASE), "drop<=4").verdict is Verdict.PASS


def test_inconclusive_passes_where_the_policy_says_so(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(4, 0)), make_run(BASE), "inconclusive=pass")
    assert (result.verdict, result.exit_status) == (Verdict.PASS, GateStatus.PASS)
    assert result.benchmarks[0].verdict is Verdict.INCONCLUSIVE
    assert "INCONCLUSIVE (passes by policy)" in "\n".join(verdict_lines(result))


def test_too_few_samples_are_inconclusive_even_without_a_drop(make_run: MakeRun) -> None:
    result = judged(make_run([1, 1, 1, 1]), make_run([1, 1, 1, 1]))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "too few samples: had all 4 that passed then broken, p would be 0.062" in reasons(
        result
    )
    assert judged(make_run([1] * 5), make_run([1] * 5)).verdict is Verdict.PASS


def test_a_gate_that_must_see_small_drops_says_when_it_cannot(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), make_run(BASE), "visible<=3")
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "could see no drop below 4.1 points, 3 asked for" in reasons(result)
    assert judged(make_run(BASE), make_run(BASE), "visible<=5").verdict is Verdict.PASS


def test_a_run_too_small_for_its_tolerance_says_how_many_samples_it_takes(
    make_run: MakeRun,
) -> None:
    flipped_three = make_run(flipped(3, 3))
    found = judged(flipped_three, make_run(BASE), "drop<=2").benchmarks[0].comparison
    assert found is not None
    needed = samples_needed(0.02, 6 / 164)
    assert needed is not None
    assert found.needed_for_tolerance == needed > 164
    text = "\n".join(verdict_lines(judged(flipped_three, make_run(BASE), "drop<=2")))
    assert f"could see: 6.4 points; 2.0 points would take {needed:,} samples" in text
    for policy in ("drop<=20", "drop<=0"):
        enough = "\n".join(verdict_lines(judged(flipped_three, make_run(BASE), policy)))
        assert "would take" not in enough


def test_missing_samples_make_a_run_incomplete(make_run: MakeRun) -> None:
    baseline, run = make_run(BASE), make_run(BASE)
    kept = dict(list(run.samples.items())[:148])
    run = dataclasses.replace(run, samples=kept, errors=16)
    result = judged(run, baseline, "pass@1>=99%")
    assert (result.verdict, result.exit_status) == (Verdict.INCOMPLETE, 10)
    assert reasons(result) == "148 of 164 scored, 16 errors, 0 allowed"
    assert result.benchmarks[0].comparison is None
    assert judged(run, baseline, "errors<=10%").verdict is Verdict.PASS
    assert judged(run, baseline, "errors<=15").verdict is Verdict.INCOMPLETE


def test_a_run_that_scored_nothing_is_incomplete(make_run: MakeRun) -> None:
    result = judged(make_run([]), None)
    assert result.verdict is Verdict.INCOMPLETE
    assert "pass@1 of nothing" in "\n".join(verdict_lines(result))


@pytest.mark.parametrize("field", ["prompt", "dataset", "scorer", "postprocessing", "variant"])
def test_another_measure_is_not_comparable_and_is_named(make_run: MakeRun, field: str) -> None:
    baseline = make_run(BASE, identity={field: "old"})
    result = judged(make_run(flipped(6, 0), identity={field: "new"}), baseline)
    assert (result.verdict, result.exit_status) == (Verdict.NOT_COMPARABLE, 10)
    assert f"{field}: old -> new" in reasons(result)
    assert result.benchmarks[0].comparison is None


def test_a_changed_prompt_of_one_sample_is_not_comparable(make_run: MakeRun) -> None:
    baseline = make_run(BASE)
    samples = {i: dataclasses.replace(s, prompt_hash="aa") for i, s in baseline.samples.items()}
    baseline = dataclasses.replace(baseline, samples=samples)
    samples = {
        **samples,
        "humaneval/3": dataclasses.replace(samples["humaneval/3"], prompt_hash="bb"),
    }
    result = judged(dataclasses.replace(baseline, samples=samples), baseline, "samples=common")
    assert "prompts of 1 sample (humaneval/3)" in reasons(result)
    assert result.verdict is Verdict.NOT_COMPARABLE


def test_a_subset_is_compared_only_when_asked_for(make_run: MakeRun) -> None:
    subset = make_run(BASE[:40])
    result = judged(subset, make_run(BASE))
    assert result.verdict is Verdict.NOT_COMPARABLE
    assert "124 samples (humaneval/100, ...) of the baseline not run" in reasons(result)
    result = judged(subset, make_run(BASE), "samples=common")
    assert result.verdict is Verdict.PASS
    comparison = result.benchmarks[0].comparison
    assert comparison is not None
    assert comparison.num_samples == 40
    larger = judged(make_run(BASE), subset)
    assert "124 samples (humaneval/100, ...) not in the baseline" in reasons(larger)


def test_no_common_sample_is_never_comparable(make_run: MakeRun) -> None:
    run, baseline = make_run([1] * 9), make_run([1] * 9)
    baseline = dataclasses.replace(
        baseline, samples={f"other/{i}": s for i, s in enumerate(baseline.samples.values())}
    )
    assert "no sample is in both" in reasons(judged(run, baseline, "samples=common"))


def test_without_a_baseline_a_stated_drop_cannot_be_judged(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), None, "drop<=2")
    assert (result.verdict, reasons(result)) == (
        Verdict.NOT_COMPARABLE,
        "164 of 164 scored\nno baseline",
    )
    assert judged(make_run(BASE), None, "pass@1>=12%").verdict is Verdict.PASS


def test_a_floor_holds_without_allowance_for_noise(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), None, "pass@1>=13%")
    assert (result.verdict, result.exit_status) == (Verdict.REGRESSED, 1)
    assert "pass@1 12.8% is below the floor 13.0%" in reasons(result)


def test_a_floor_on_a_metric_that_the_run_lacks_is_incomplete(make_run: MakeRun) -> None:
    assert judged(make_run(BASE), None, "strict>=1%").verdict is Verdict.INCOMPLETE


def test_samples_that_must_pass_are_named_when_they_do_not(make_run: MakeRun) -> None:
    run = make_run([[1, 1], [1, 0], *[[0, 0]] * 20])
    passing = judged(run, None, "must_pass=humaneval/0")
    assert passing.verdict is Verdict.PASS
    failing = judged(run, None, "must_pass=humaneval/0|humaneval/1|humaneval/99")
    assert failing.verdict is Verdict.REGRESSED
    assert "must pass but failed: humaneval/1" in reasons(failing)
    missing = judged(run, None, "must_pass=humaneval/99")
    assert missing.verdict is Verdict.INCOMPLETE


def test_a_limit_on_truncated_answers_holds_without_a_baseline(make_run: MakeRun) -> None:
    run = make_run(BASE, finish_reason="length")
    result = judged(run, None, "truncated<=5%, empty<=0")
    assert result.verdict is Verdict.REGRESSED
    assert "100.0% of the answers are truncated, 5.0% allowed" in reasons(result)


def test_a_slower_server_fails_the_timing_gate(make_run: MakeRun) -> None:
    policy = "latency_p50<=1.2, latency_p95<=1.2, tokens_per_s>=0.8"
    result = judged(make_run(BASE, latency_s=1.5), make_run(BASE), policy)
    assert (result.verdict, result.exit_status) == (Verdict.REGRESSED, 1)
    timings = {found.name: found for found in result.benchmarks[0].timings}
    assert timings["latency_p95"].ratio == pytest.approx(1.5)
    assert timings["tokens_per_s"].ratio == pytest.approx(1 / 1.5)
    assert "ratio 1.50 (1.50 to 1.50), at most 1.2 asked for" in reasons(result)
    assert judged(make_run(BASE, latency_s=1.1), make_run(BASE), policy).verdict is Verdict.PASS


def test_a_slower_server_with_wild_timings_is_inconclusive(make_run: MakeRun) -> None:
    def with_latencies(latencies: Sequence[float]) -> RunScores:
        run = make_run([1] * len(latencies))
        pairs = zip(run.samples.items(), latencies, strict=True)
        samples = {i: dataclasses.replace(s, latency_s=(value,)) for (i, s), value in pairs}
        return dataclasses.replace(run, samples=samples)

    then, now = with_latencies([1.0, 9.0] * 6), with_latencies([9.0, 1.0] * 5 + [9.0, 9.0])
    result = judged(now, then, "latency_p50<=1.1")
    assert result.verdict is Verdict.INCONCLUSIVE


def test_timings_are_compared_at_equal_concurrency_only(make_run: MakeRun) -> None:
    now = make_run(BASE, identity={"concurrency": 2, "settings": {"tp": 1}})
    then = make_run(BASE, identity={"concurrency": 8, "settings": {"tp": 2}})
    result = judged(now, then, "latency_p50<=1.2")
    assert result.verdict is Verdict.NOT_COMPARABLE
    assert "concurrency: 8 -> 2; settings.tp: 2 -> 1" in reasons(result)
    assert judged(now, then).verdict is Verdict.PASS


def test_a_timing_that_was_not_measured_is_not_comparable(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), make_run(BASE), "ttft_p95<=1.2")
    assert result.verdict is Verdict.NOT_COMPARABLE
    assert compare_timing(make_run(BASE), make_run(BASE), "ttft_p50") is None
    assert judged(make_run(BASE), None, "latency_p50<=1.2").verdict is Verdict.NOT_COMPARABLE


def test_holm_makes_one_of_four_benchmarks_harder_to_condemn(make_run: MakeRun) -> None:
    names = ["a", "b", "c", "d"]
    baselines = {name: make_run(BASE, benchmark=name) for name in names}
    runs = {**baselines, "a": make_run(flipped(6, 0), benchmark="a")}
    result = judge(runs, baselines)
    assert result.benchmarks[0].p_adjusted == pytest.approx(4 / 64)
    assert result.verdict is Verdict.INCONCLUSIVE
    alone = judge({"a": runs["a"]}, baselines)
    assert alone.benchmarks[0].p_adjusted == pytest.approx(1 / 64)
    assert alone.verdict is Verdict.REGRESSED


def test_the_worst_benchmark_decides_the_run(make_run: MakeRun) -> None:
    baselines = {name: make_run(BASE, benchmark=name) for name in "abc"}
    runs = {
        "a": baselines["a"],
        "b": make_run(BASE, benchmark="b", planned=170),
        "c": make_run(flipped(9, 0), benchmark="c"),
    }
    assert judge(runs, baselines).verdict is Verdict.REGRESSED
    del runs["c"]
    assert judge(runs, baselines).verdict is Verdict.INCOMPLETE


def test_repeats_are_compared_as_one_mean_a_sample(make_run: MakeRun) -> None:
    then = make_run([[1, 1, 0, 0]] * 30 + [[0, 0, 0, 1]] * 30)
    now = make_run([[1, 0, 0, 0]] * 30 + [[0, 0, 0, 1]] * 30)
    found = compare(then, now)
    assert not found.is_binary
    assert found.drop == pytest.approx(0.125)
    assert len(found.broken) == 30
    assert "paired t" in found.test
    assert found.num_samples == 60
    interval = found.difference.interval
    assert interval is not None
    assert -0.125 in interval
    assert judged(now, then).verdict is Verdict.REGRESSED


def test_a_baseline_of_several_runs_is_compared_by_its_means(make_run: MakeRun) -> None:
    folded = make_run([[1, 1], [1, 0], [0, 0]] * 20, num_runs=2)
    found = compare(folded, make_run([1, 0, 0] * 20))
    assert found.then.value == pytest.approx(0.5)
    assert found.drop == pytest.approx(1 / 6)


def test_subjects_that_fall_together_count_for_less(make_run: MakeRun) -> None:
    groups = [f"subject {i // 10}" for i in range(100)]
    then = [1] * 100
    together = [0] * 10 + [1] * 90
    scattered = [0 if i % 10 == 0 else 1 for i in range(100)]
    for now, is_significant in ((together, False), (scattered, True)):
        found = compare(make_run(then, groups=groups), make_run(now, groups=groups))
        assert found.drop == pytest.approx(0.1)
        assert (found.p_one_sided <= 0.05) is is_significant
        assert found.num_clusters == 10
    ungrouped = compare(make_run(then), make_run(together))
    assert ungrouped.p_one_sided == pytest.approx(0.5**10)


def test_few_groups_are_noted(make_run: MakeRun) -> None:
    groups = [f"subject {i // 10}" for i in range(100)]
    run = make_run([1] * 100, groups=groups)
    assert "only 10 groups" in judge({"x": run}, {"x": run}).benchmarks[0].notes[0]


def test_a_run_that_could_see_no_drop_says_so(make_run: MakeRun) -> None:
    run = make_run([1] * 4 + [0] * 28)
    result = judged(run, run)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "too few samples: had all 4 that passed then broken, p would be 0.062" in reasons(
        result
    )
    assert result.benchmarks[0].notes
    assert "smallest drop this run could see: none" in "\n".join(verdict_lines(result))


def test_only_what_passed_then_can_break(make_run: MakeRun) -> None:
    five, four = make_run([1] * 5 + [0] * 159), make_run([1] * 4 + [0] * 160)
    assert judged(five, five).verdict is Verdict.PASS
    assert judged(four, four).verdict is Verdict.INCONCLUSIVE
    # 4 of 164 are 2.4 points: nothing that happens could exceed three.
    assert judged(four, four, "drop<=3").verdict is Verdict.PASS
    groups = [f"subject {i // 2}" for i in range(164)]
    paired = make_run([1] * 8 + [0] * 156, groups=groups)
    found = judged(paired, paired)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.benchmarks[0].comparison is not None
    assert found.benchmarks[0].comparison.num_breakable == 4


def test_the_block_says_what_broke_and_how_to_rerun_it(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(6, 1)), make_run(BASE), "drop<=2, inconclusive=fail")
    lines = verdict_lines(result, lambda name, ids: f"pytest {name} {len(ids)}")
    text = "\n".join(lines)
    assert lines[0].startswith("humaneval: INCONCLUSIVE  pass@1 12.8 -> 9.8 %, -3.0 points (")
    assert "6 broken, 1 fixed of 164 samples" in text
    assert "broken: humaneval/0 humaneval/1" in text
    assert "fixed: humaneval/163" in text
    assert "rerun: pytest humaneval 6" in text
    assert lines[-1] == "gate: INCONCLUSIVE (exit status 11)"


def test_a_long_list_of_broken_samples_is_cut_with_its_count(make_run: MakeRun) -> None:
    result = judged(make_run([0] * 60), make_run([1] * 60))
    assert "humaneval/19 and 40 more" in "\n".join(verdict_lines(result))
    assert "`humaneval/19` and 40 more" in verdict_markdown(result)


def test_markdown_is_a_table_with_the_broken_samples_and_the_command(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(6, 0)), make_run(BASE))
    text = verdict_markdown(result, lambda name, ids: f"pytest {name} {len(ids)}")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "| humaneval | **REGRESSED** | 12.8% | 9.1% | -3.7 (" in rows[2]
    assert "`humaneval/5`" in text
    assert "```sh\npytest humaneval 6\n```" in text


def test_a_result_is_plain_json(make_run: MakeRun) -> None:
    result = judged(make_run(flipped(6, 0)), make_run(BASE), "latency_p50<=1.5")
    data = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert data["verdict"] == "REGRESSED"
    assert data["exit_status"] == 1
    assert data["benchmarks"][0]["comparison"]["p_one_sided"] == pytest.approx(1 / 64)


def test_without_a_baseline_the_score_and_its_interval_are_shown(make_run: MakeRun) -> None:
    result = judged(make_run(BASE), None, "pass@1>=13%")
    assert verdict_lines(result)[0] == "humaneval: REGRESSED  pass@1 12.8 % (8.5 to 18.8)"
    text = verdict_markdown(result)
    assert "| humaneval | **REGRESSED** |  | 12.8% |  |  |  |  |" in text
    assert "- REGRESSED pass@1: pass@1 12.8% is below the floor 13.0%" in text
