from __future__ import annotations

from pathlib import Path

import pytest

from lightllm_evals.chat_templates import load_chat_template
from lightllm_evals.errors import ConfigError


def test_name_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two", "three")):
        (tmp_path / folder).mkdir()
        if number:
            (tmp_path / folder / "t.jinja").write_text(str(number), encoding="utf-8")
    folders = [tmp_path / folder for folder in ("one", "two", "three")]
    template = load_chat_template("t", folders, bos_token="<s>", eos_token="</s>")
    assert (template.name, template.source) == ("t", "1")
    assert (template.bos_token, template.eos_token) == ("<s>", "</s>")
    assert load_chat_template(str(tmp_path / "three" / "t.jinja")).source == "2"


def test_missing_name_is_answered_with_the_names_there_are(pytestconfig: pytest.Config) -> None:
    shipped = pytestconfig.rootpath / "fixtures" / "chat_templates"
    names = "chatml, internlm2, llama-2, llama-3"
    with pytest.raises(ConfigError, match=f"no chat template 'llama'.*there are {names}"):
        load_chat_template("llama", [shipped])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.jinja cannot be read: No such file"):
        load_chat_template(str(tmp_path / "gone.jinja"))


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.jinja"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_chat_template(str(path))
