"""What docs/gate.md promises, checked: examples that drift from the code fail here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightllm_evals.gate import (
    GateStatus,
    Identity,
    RunScores,
    SampleScores,
    judge,
    parse_policy,
    verdict_lines,
)
from lightllm_evals.stats import smallest_visible_drop


@pytest.fixture
def page(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / "docs" / "gate.md").read_text(encoding="utf-8")


def rows_of(page: str, start: str) -> list[list[str]]:
    """Returns the cells of the table whose header line starts with ``start``."""
    table = page[page.index(start) :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table]


def test_every_policy_item_of_the_page_is_read(page: str) -> None:
    items = [
        item.replace("\\|", "|")
        for row in rows_of(page, "| item | default")
        for item in re.findall(r"`([^`]+)`", row[0])
        if "=" in item
    ]
    assert len(items) > 12
    for item in items:
        assert parse_policy(item).sections == (("*", (item,)),)


def test_every_gate_of_the_ci_examples_is_read(page: str) -> None:
    gates = re.findall(r"--lightllm-gate[= ]'([^']+)'", page)
    assert len(gates) == 4
    for gate in gates:
        assert parse_policy(gate).for_benchmark("humaneval").max_drop == 0.02


def test_the_exit_statuses_are_those_of_the_page(page: str) -> None:
    listed = {row[0].replace(" ", "_"): int(row[1]) for row in rows_of(page, "| verdict | exit")}
    assert listed == {
        "PASS": GateStatus.PASS,
        "REGRESSED": GateStatus.REGRESSED,
        "NOT_COMPARABLE": GateStatus.NOT_JUDGED,
        "INCOMPLETE": GateStatus.NOT_JUDGED,
        "INCONCLUSIVE": GateStatus.INCONCLUSIVE,
    }


def test_the_visible_drops_are_those_of_the_page(page: str) -> None:
    rows = rows_of(page, "| benchmark | samples | flips")
    assert len(rows) == 6
    for row in rows:
        n, flips = int(row[1].replace(",", "")), float(row[2].removesuffix(" %")) / 100
        for tolerance, stated in ((0.0, row[3]), (0.02, row[4])):
            drop = smallest_visible_drop(n, flips, tolerance=tolerance)
            assert drop is not None
            assert f"{100 * drop:.1f}" == stated


def test_the_verdict_block_is_the_one_of_the_page(page: str) -> None:
    def run(scores: list[int]) -> RunScores:
        samples = {
            f"HumanEval/{i}": SampleScores(scores=(float(s),)) for i, s in enumerate(scores)
        }
        return RunScores(
            identity=Identity(benchmark="humaneval"), samples=samples, planned=len(scores)
        )

    then, now = run([1] * 21 + [0] * 143), run([0] * 6 + [1] * 15 + [0] * 143)
    lines = verdict_lines(judge({"humaneval": now}, {"humaneval": then}, parse_policy("drop<=2")))
    assert "\n".join(f"    {line}" for line in lines) in page


def test_the_page_s_plot_exists(page: str, pytestconfig: pytest.Config) -> None:
    (name,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert "<svg" in Path(pytestconfig.rootpath / "docs" / name).read_text(encoding="utf-8")
