from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate import Identity, RunScores, SampleScores, Verdict
from lightllm_evals.runs.baseline import load_baseline, save_baseline
from lightllm_evals.runs.gating import (
    GateAnswer,
    answer,
    candidate_lines,
    gate_question,
    save_baselines,
)

NUM = 40


def scores(num: int = NUM, **identity: Any) -> RunScores:
    values: dict[str, Any] = {"benchmark": "toy", "model": "m", "prompt": "p1", **identity}
    return RunScores(
        identity=Identity(**values),
        samples={f"toy/{i}": SampleScores(scores=(float(i % 2),)) for i in range(num)},
        planned=num,
        date="2026-01-02T03:04:05Z",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a baseline of ``toy``."""
    save_baselines("default", tmp_path, {"toy": scores()})
    assert load_baseline(tmp_path / "m" / "toy.json").samples
    return tmp_path


def ask(run: RunScores, folder: Path, *policies: str, given: str | None = None) -> GateAnswer:
    question = gate_question(policies, given, folder)
    name = run.identity.benchmark
    return answer(question, {name: run}, {name: set(run.samples)})


def verdict(found: GateAnswer) -> Verdict | None:
    return found.result.verdict if found.result else None


def test_a_fitting_baseline_is_used_unasked(folder: Path) -> None:
    assert verdict(ask(scores(), folder)) is Verdict.PASS


def test_nothing_is_judged_where_nothing_fits_and_nothing_was_asked(folder: Path) -> None:
    part = ask(scores(8), folder)
    assert part.result is None
    assert "has 40 samples and this run 8" in part.notes[0]
    other = ask(scores(prompt="p2"), folder)
    assert other.result is None
    assert "prompt: p1 -> p2" in other.notes[0]
    assert ask(scores(model="n"), folder) == GateAnswer(result=None)
    assert ask(scores(), folder, given="none").result is None


def test_a_stated_drop_wants_the_whole_baseline(folder: Path) -> None:
    part = ask(scores(8), folder, "toy: drop<=2")
    assert verdict(part) is Verdict.NOT_COMPARABLE
    assert "32 samples (toy/10, ...) of the baseline not run" in "\n".join(part.lines())
    assert verdict(ask(scores(16), folder, "drop<=2, samples=common")) is Verdict.PASS
    other = ask(scores(prompt="p2"), folder, "drop<=2")
    assert verdict(other) is Verdict.NOT_COMPARABLE
    assert "prompt: p1 -> p2" in "\n".join(other.lines())
    assert verdict(ask(scores(model="n"), folder, "drop<=2")) is Verdict.NOT_COMPARABLE


def test_other_repeats_are_compared_by_means_and_the_note_says_so(folder: Path) -> None:
    found = ask(scores(repeats=2), folder, "drop<=2")
    assert verdict(found) is Verdict.PASS
    (note,) = found.notes
    assert note.startswith("toy is compared by its samples' means with ")
    assert note.endswith("toy.json, which differs in repeats: 1 -> 2")
    assert ask(scores(repeats=2), folder).result is None


def test_what_the_header_lists_is_what_is_found(tmp_path: Path) -> None:
    save_baselines(str(tmp_path / "release 7.json"), tmp_path, {"toy": scores()})
    question = gate_question((), None, tmp_path)
    assert "release 7.json" in "\n".join(candidate_lines(question, "m"))
    assert verdict(ask(scores(), tmp_path)) is Verdict.PASS


def test_a_policy_without_a_drop_needs_no_baseline(folder: Path) -> None:
    assert verdict(ask(scores(8), folder, "pass@1>=40%")) is Verdict.PASS
    assert verdict(ask(scores(8), folder, "pass@1>=60%")) is Verdict.REGRESSED


@pytest.mark.parametrize(
    "policy",
    [
        "alpha=0.01",
        "visible<=90",
        "samples=common, inconclusive=pass",
        "to*: errors<=1",
        "pass@1>=10%, visible<=90",
    ],
)
def test_a_policy_that_only_says_how_to_compare_wants_a_baseline(
    folder: Path, policy: str
) -> None:
    other = ask(scores(prompt="p2"), folder, policy)
    assert other.result is not None
    assert (other.result.verdict, other.result.exit_status) == (Verdict.NOT_COMPARABLE, 10)
    assert "prompt: p1 -> p2" in "\n".join(other.lines())
    assert verdict(ask(scores(model="n"), folder, policy)) is Verdict.NOT_COMPARABLE
    assert verdict(ask(scores(), folder, policy)) is Verdict.PASS


def test_a_policy_of_another_benchmark_asks_nothing_of_this_one(folder: Path) -> None:
    found = ask(scores(model="n"), folder, "humaneval: alpha=0.01")
    assert found.result is not None
    assert [each.verdict for each in found.result.benchmarks] == [
        Verdict.PASS,
        Verdict.INCOMPLETE,
    ]
    assert verdict(ask(scores(model="n"), folder, "drop=off")) is Verdict.PASS


def test_a_baseline_that_was_named_is_never_passed_over(folder: Path) -> None:
    file = str(folder / "m" / "toy.json")
    assert verdict(ask(scores(), folder, given=file)) is Verdict.PASS
    assert verdict(ask(scores(model="n"), folder, given=file)) is Verdict.PASS
    other = ask(scores(benchmark="another"), folder, given=file)
    assert verdict(other) is Verdict.NOT_COMPARABLE
    assert "benchmark: toy -> another" in "\n".join(other.lines())
    assert verdict(ask(scores(model="n"), folder, given=str(folder))) is Verdict.NOT_COMPARABLE
    with pytest.raises(ConfigError, match="There is no baseline nowhere"):
        gate_question((), "nowhere", folder)
    (folder / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid JSON"):
        gate_question((), str(folder / "broken.json"), folder)


def test_one_file_holds_one_benchmark_and_no_incomplete_one(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    two = {"toy": scores(), "another": scores(benchmark="another")}
    with pytest.raises(ConfigError, match="can hold one baseline and 2 benchmarks were run"):
        save_baselines(str(file), tmp_path, two)
    torn = RunScores(identity=Identity(benchmark="toy"), samples=scores().samples, planned=NUM + 1)
    with pytest.raises(ConfigError, match="no baseline was saved"):
        save_baselines("default", tmp_path, {"another": two["another"], "toy": torn})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="incomplete"):
        save_baseline(file, torn)


@pytest.mark.parametrize("changes", [{"num": 8}, {"variant": "instruct"}])
def test_a_larger_baseline_or_another_form_s_is_replaced_by_name_only(
    folder: Path, changes: dict[str, Any]
) -> None:
    path, run = folder / "m" / "toy.json", scores(**changes)
    before = path.read_text(encoding="utf-8")
    others = {"another": scores(benchmark="another"), "toy": run}
    with pytest.raises(ConfigError, match=r"toy\.json has 40 samples of variant '', this run has"):
        save_baselines("default", folder, others)
    assert path.read_text(encoding="utf-8") == before
    assert not (folder / "m" / "another.json").exists()
    assert save_baselines(str(path), folder, {"toy": run}) == [path]
    assert load_baseline(path).samples == run.samples
    assert save_baselines("default", folder, {"toy": run}) == [path]


def test_a_benchmark_that_the_policy_names_must_have_been_run(tmp_path: Path) -> None:
    found = ask(scores(), tmp_path, "toy: pass@1>=10%; humaneval: pass@1>=10%; mmlu*: errors<=1")
    assert verdict(found) is Verdict.INCOMPLETE
    assert found.result is not None
    assert found.result.exit_status == 10
    named = {each.benchmark: each.verdict for each in found.result.benchmarks}
    assert named == {
        "toy": Verdict.PASS,
        "humaneval": Verdict.INCOMPLETE,
        "mmlu*": Verdict.INCOMPLETE,
    }
    assert "humaneval: INCOMPLETE  not run" in "\n".join(found.lines())
    assert verdict(ask(scores(), tmp_path, "to*: pass@1>=10%; *: errors<=1")) is Verdict.PASS


def test_a_standing_policy_holds_for_what_is_run(folder: Path) -> None:
    def standing(run: RunScores, *policies: str) -> GateAnswer:
        question = gate_question(policies, None, folder, is_standing=True)
        return answer(question, {"toy": run}, {"toy": set(run.samples)})

    both = ("toy: pass@1>=10%", "humaneval: pass@1>=10%")
    assert verdict(standing(scores(), *both)) is Verdict.PASS
    # Where nothing is compared, how to judge is no reason for a verdict.
    assert verdict(standing(scores(), "inconclusive=pass")) is Verdict.PASS
    for mild in ("inconclusive=pass", "alpha=0.01", "visible<=5"):
        assert standing(scores(model="n"), mild) == GateAnswer(result=None)
    assert verdict(standing(scores(model="n"), "pass@1>=90%")) is Verdict.REGRESSED
    few = scores(4)
    save_baselines(str(folder / "m" / "toy.json"), folder, {"toy": few})
    assert few.planned == 4
    lenient = standing(few, "inconclusive=pass")
    assert lenient.result is not None
    assert (lenient.result.benchmarks[0].verdict, lenient.result.exit_status) == (
        Verdict.INCONCLUSIVE,
        0,
    )
