"""``docs/profiles.md`` names every key of a profile, and its example is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.profiles import load_profile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")


def first_cells(header: str) -> set[str]:
    """The names in the first column of the table with this header."""
    table = PAGE.partition(f"\n| {header} |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize(
    ("header", "table"),
    [
        ("key", ""),
        ("key in `[request]`", "[request]\n"),
        ("key in `[embedded]`", "[embedded]\n"),
        ("key in `[reasoning]`", "[reasoning]\n"),
    ],
)
def test_page_names_every_key(tmp_path: Path, header: str, table: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"{table}zzzzzzzz = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    known = str(caught.value).partition("it takes ")[2].rstrip(".").split(", ")
    assert first_cells(header) == set(known)


def test_page_names_every_profile_that_is_shipped() -> None:
    shipped = {path.stem for path in ROOT.glob("fixtures/profiles/*.toml")}
    assert first_cells("profile") == shipped


def test_examples_are_profiles(tmp_path: Path) -> None:
    profiles = []
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        profiles.append(load_profile(path))
    model, chat, thinker = profiles
    assert (model.launch["tp"], model.variants) == (2, {"humaneval": "instruct"})
    assert (chat.chat_template, chat.bos_token, chat.fewshot) == ("llama-2", "<s>", "turns")
    assert thinker.reasoning is not None
    assert thinker.reasoning.is_open


def test_page_names_every_template_that_is_shipped() -> None:
    shipped = {path.stem for path in ROOT.glob("fixtures/chat_templates/*.jinja")}
    (listed,) = re.findall(r"With the package come\n(.*?);", PAGE, re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", listed)) == shipped
