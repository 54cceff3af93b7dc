from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.profiles import EmbeddedOptions, Profile, load_profile
from lightllm_evals.reasoning import Reasoning

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_profile(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_profile


@pytest.fixture
def shipped(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "fixtures" / "profiles"


def test_tutorial_profile_has_the_tutorials_flags_in_its_order(shipped: Path) -> None:
    profile = load_profile("llama2-7b", [shipped])
    assert list(profile.launch.items()) == [
        ("host", "0.0.0.0"),
        ("port", 1030),
        ("nccl_port", 2066),
        ("max_req_input_len", 4096),
        ("max_req_total_len", 6144),
        ("tp", 1),
        ("trust_remote_code", True),
        ("max_total_token_num", 120000),
    ]
    assert profile.limit == math.inf
    assert profile.request == {"do_sample": False}


def test_embedded_profile_runs_the_first_32_samples_in_bigcodes_form(shipped: Path) -> None:
    profile = load_profile("embedded", [shipped])
    assert (profile.limit, profile.concurrency) == (32, 8)
    assert profile.variants == {"humaneval": "bigcode"}
    assert profile.embedded == EmbeddedOptions(slots=8, max_req_total_len=4096)


def test_every_key_arrives_in_the_record(write: Write) -> None:
    path = write(
        """
        description = "d"
        model_dir = "/models/m"
        api = "chat"
        chat_template = "t"
        bos_token = "<s>"
        eos_token = "</s>"
        system_prompt = "Be brief."
        fewshot = "turns"
        prefix_text = "<|endoftext|>"
        limit = "all"
        concurrency = 3
        [launch]
        eos_id = [2, 3]
        tp = 2
        [request]
        temperature = 1
        top_k = -1
        stop_sequences = ["</s>"]
        [variants]
        humaneval = "instruct"
        [embedded]
        slots = 4
        threads = 2
        gguf = "m.gguf"
        [reasoning]
        start = "[THINK]"
        end = "[/THINK]"
        is_open = true
        """
    )
    assert load_profile(path) == Profile(
        name="mine",
        description="d",
        model_dir="/models/m",
        launch={"eos_id": (2, 3), "tp": 2},
        request={"temperature": 1.0, "top_k": -1},
        stop_sequences=("</s>",),
        api="chat",
        chat_template="t",
        bos_token="<s>",
        eos_token="</s>",
        system_prompt="Be brief.",
        fewshot="turns",
        reasoning=Reasoning(start="[THINK]", end="[/THINK]", is_open=True),
        prefix_text="<|endoftext|>",
        variants={"humaneval": "instruct"},
        limit=math.inf,
        concurrency=3,
        embedded=EmbeddedOptions(slots=4, threads=2, gguf="m.gguf"),
    )


def test_empty_reasoning_table_means_the_usual_marks(write: Write) -> None:
    assert load_profile(write("[reasoning]")).reasoning == Reasoning(
        start="<think>", end="</think>"
    )


def test_empty_profile_has_no_opinion(write: Write) -> None:
    assert load_profile(write("")) == Profile(name="mine")


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("concurency = 8", "concurency", "did you mean concurrency?"),
        ("[request]\ntemprature = 1.0", "temprature", "did you mean temperature?"),
        ("[embedded]\nslot = 1", "slot", "did you mean slots?"),
        ("zzzz = 1", "zzzz", "it takes description, model_dir"),
    ],
)
def test_unknown_key_is_named_with_its_file_and_near_matches(
    write: Write, text: str, key: str, hint: str
) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert f"Unknown key {key!r}" in str(caught.value)
    assert str(path) in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("limit = 0", 'limit in the profile {path} must be a whole number from 1 on, or "all"'),
        ("limit = true", "limit in"),
        ("limit = 'some'", "limit in"),
        ("concurrency = 1.5", "concurrency in"),
        ("api = 'soap'", "one of generate, chat, completions, not 'soap'"),
        ("api = ['generate']", "one of generate"),
        ("description = 3", "must be a text, not 3"),
        ("launch = 3", "launch in the profile {path} must be a table"),
        ("[launch]\ntp = {a = 1}", "launch.tp in"),
        ("[launch]\neos_id = []", "launch.eos_id in"),
        ("[request]\ndo_sample = 'false'", "request.do_sample in"),
        ("[request]\ntop_k = 1.0", "request.top_k in"),
        ("[request]\ntemperature = nan", "request.temperature in"),
        ("[request]\nstop_sequences = 'x'", "must be a list of texts"),
        ("[request]\nstop_sequences = ['']", "must be a list of texts"),
        ("[variants]\nhumaneval = 1", "variants.humaneval in"),
        ("variants = 'bigcode'", "variants in"),
        ("[embedded]\nslots = 0", "embedded.slots in"),
        ("embedded = 'x'", "embedded in"),
        ("fewshot = 'rounds'", "fewshot in the profile {path} must be one of turns, text"),
        ("[reasoning]\nend = ''", "reasoning.end in"),
        ("reasoning = true", "reasoning in"),
    ],
)
def test_value_of_the_wrong_type_is_refused(write: Write, text: str, complaint: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert complaint.format(path=path) in str(caught.value)


def test_name_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two", "three")):
        (tmp_path / folder).mkdir()
        if number:
            (tmp_path / folder / "m.toml").write_text(f"limit = {number}", encoding="utf-8")
    folders = [tmp_path / folder for folder in ("one", "two", "three")]
    assert load_profile("m", folders).limit == 1


def test_missing_name_is_answered_with_the_names_there_are(shipped: Path) -> None:
    names = "embedded, internlm2-chat, llama2-7b"
    with pytest.raises(ConfigError, match=rf"no profile 'llama'.*there are: {names}"):
        load_profile("llama", [shipped])


def test_missing_name_without_folders_says_so() -> None:
    with pytest.raises(ConfigError, match="in no folder; there are none"):
        load_profile("llama")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml cannot be read: No such file"):
        load_profile(tmp_path / "gone.toml")


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(tmp_path)


def test_broken_toml_says_where(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 1"):
        load_profile(write("limit = = 3"))


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'description = "\xff"')
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_profile(path)


@given(key=st.from_regex(r"[a-z_]{1,12}", fullmatch=True), value=st.integers() | st.booleans())
def test_unknown_key_is_never_read_past(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: int
) -> None:
    assume(key not in {field.name for field in dataclasses.fields(Profile)})
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(f"{key} = {str(value).lower()}", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"Unknown key '{key}'"):
        load_profile(path)
