"""``docs/run-directory.md`` names every field that a run writes, and no other."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "run-directory.md"

FORMS = {
    "raw": ("--lightllm-stream", "--lightllm-min=functions:pass@1>=0.1"),
    "chat": ("--lightllm-api=chat", "--lightllm-run-dir=chat"),
}


def documented(title: str) -> set[str]:
    """The field names in the first column of a section's table."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Where a JSON value has its leaves: ``a.b[].c``; ``a[]`` and ``a.*`` where a is empty."""
    if isinstance(value, dict):
        if not value:
            yield f"{path}.*"
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        if not value:
            yield f"{path}[]"
        for item in value:
            yield from paths(item, f"{path}[]")
    else:
        yield path


def is_named(path: str, name: str) -> bool:
    """Whether a documented name stands for a leaf; a last ``*`` for all that is below."""
    pattern = re.escape(name).replace(r"\*", r"[^.]+")
    if name.endswith(".*"):
        pattern += r"([.\[].*)?"
    # What is an object in one run can be null in another, or an empty list or dict.
    inside = (path.removesuffix("*"),) if path.endswith(("[]", ".*")) else (f"{path}.", f"{path}[")
    return re.fullmatch(pattern, path) is not None or name.startswith(inside)


def is_written(name: str, found: set[str]) -> bool:
    """Whether a documented name is that of a leaf or of an object."""
    return any(is_named(path, name) or path.startswith(f"{name}.") for path in found)


@pytest.fixture
def run(pytester: pytest.Pytester, simulated: Callable[..., Any]) -> Callable[[str], None]:
    """Runs one of the forms; the server knows no answer."""
    shutil.copytree(ROOT / "examples", pytester.path, dirs_exist_ok=True)
    server = simulated({})

    def one(form: str) -> None:
        args = ["-p", "no:cacheprovider", "test_functions.py", f"--lightllm-url={server.url}"]
        result = pytester.runpytest_subprocess(*args, *FORMS[form], timeout=300)
        result.assert_outcomes(failed=3)

    return one


def values(file: Path) -> list[Any]:
    """The JSON values in a file of a run."""
    text = file.read_text(encoding="utf-8")
    texts = text.splitlines() if file.suffix == ".jsonl" else [text]
    return [json.loads(each) for each in texts]


def test_page_names_every_field_and_no_other(
    pytester: pytest.Pytester, run: Callable[[str], None]
) -> None:
    for form in FORMS:
        run(form)
    folders = [*pytester.path.glob(".lightllm-evals/runs/*"), pytester.path / "chat"]
    assert len(folders) == len(FORMS)
    names = {
        "results.jsonl": documented("results.jsonl"),
        "run.json": documented("run.json"),
        "summary.json": documented("run.json") | documented("summary.json"),
        "completions.jsonl": documented("completions.jsonl"),
    }
    for file, of_file in names.items():
        written = [value for folder in folders for value in values(folder / file)]
        found = {path for value in written for path in paths(value)}
        unnamed = {path for path in found if not any(is_named(path, name) for name in of_file)}
        assert not unnamed, f"{file} has fields that {PAGE.name} does not name"
        unwritten = {name for name in of_file if not is_written(name, found)}
        assert not unwritten, f"{PAGE.name} names fields that {file} does not have"


def test_example_on_the_page_finds_the_failed_samples(
    pytester: pytest.Pytester,
    run: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("raw")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(pytester.path)
    capsys.readouterr()
    exec(code, {})  # the page's own text, in this repository
    samples = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(samples) == ["digits", "double", "is_even"]
