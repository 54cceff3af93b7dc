from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.server.flags import (
    FlagKind,
    FlagValue,
    command_line,
    fit_flags,
    is_generation_a,
    parse_help,
)

HELP = """usage: api_server.py [-h] [--host HOST]

options:
  -h, --help            show this help message and exit
  --host HOST
  --tp TP               model tp parral size, see --dp DP
  --eos_id EOS_ID [EOS_ID ...]
                        eos stop token id, if --model_dir has none
  --trust_remote_code   Whether or not to allow for custom models
  --performance_mode {personal}, --p_mode {personal}
                        a mode
  --long_name_of_a_switch
                        explained below
"""

A: Mapping[str, FlagKind] = {
    "host": "value",
    "mode": "values",
    "eos_id": "values",
    "max_req_total_len": "value",
    "chunked_prefill_size": "value",
    "trust_remote_code": "switch",
    "return_all_prompt_logprobs": "switch",
    "disable_dynamic_prompt_cache": "switch",
    "disable_chunked_prefill": "switch",
}
B: Mapping[str, FlagKind] = {
    "host": "value",
    "llm_kv_type": "value",
    "max_req_total_len": "value",
    "chunked_prefill_size": "value",
    "enable_prompt_logprobs": "switch",
    "disable_dynamic_prompt_cache": "switch",
    "disable_chunked_prefill": "switch",
}


@pytest.fixture
def recordings(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.rootpath.parent / "shared" / "lightllm-recordings"
    if not folder.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    return folder


def test_help_text_tells_names_and_how_many_values() -> None:
    assert parse_help(HELP) == {
        "help": "switch",
        "host": "value",
        "tp": "value",
        "eos_id": "values",
        "trust_remote_code": "switch",
        "performance_mode": "value",
        "p_mode": "value",
        "long_name_of_a_switch": "switch",
    }


def test_heading_of_an_older_python_is_understood() -> None:
    assert parse_help(HELP.replace("options:", "optional arguments:")) == parse_help(HELP)


@pytest.mark.parametrize(
    ("file", "num_flags", "has", "lacks"),
    [
        ("help-a-2025-07.txt", 92, "return_all_prompt_logprobs", "enable_prompt_logprobs"),
        ("help-b-2026-08.txt", 144, "enable_prompt_logprobs", "mode"),
    ],
)
def test_recorded_help_texts_are_read(
    recordings: Path, file: str, num_flags: int, has: str, lacks: str
) -> None:
    known = parse_help((recordings / file).read_text(encoding="utf-8"))
    assert len(known) == num_flags
    assert has in known
    assert lacks not in known
    assert known["max_total_token_num"] == "value"
    assert known["trust_remote_code"] == "switch"
    assert known["eos_id"] == "values"
    assert is_generation_a(known) == ("-a-" in file)


def test_known_flags_pass_unchanged_in_their_order() -> None:
    wanted: dict[str, FlagValue] = {"trust_remote_code": True, "host": "0.0.0.0", "eos_id": (2, 3)}
    fitted = fit_flags(wanted, A)
    assert list(fitted.flags.items()) == list(wanted.items())
    assert fitted.warnings == ()


def test_removed_flag_is_left_out_with_its_reason() -> None:
    fitted = fit_flags({"max_req_input_len": 4096}, B)
    assert not fitted.flags
    assert fitted.warnings == (
        "This LightLLM does not know --max_req_input_len, which is left out: "
        "max_req_total_len limits prompt and output together.",
    )


def test_misspelt_flag_is_left_out_with_a_guess() -> None:
    (warning,) = fit_flags({"max_req_totl_len": 1}, B).warnings
    assert "--max_req_totl_len, which is left out" in warning
    assert "--max_req_total_len" in warning


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        ("return_all_prompt_logprobs", "enable_prompt_logprobs", B),
        ("enable_prompt_logprobs", "return_all_prompt_logprobs", A),
    ],
)
def test_prompt_logprobs_go_by_the_installed_versions_name(
    old: str, new: str, known: Mapping[str, FlagKind]
) -> None:
    fitted = fit_flags({old: True}, known)
    assert fitted.flags[new] is True
    assert old not in fitted.flags
    assert fitted.warnings[0] == f"This LightLLM calls --{old} --{new}, which is used."


def test_2025_prompt_logprobs_get_the_two_switches_that_they_need() -> None:
    fitted = fit_flags({"return_all_prompt_logprobs": True, "disable_chunked_prefill": True}, A)
    assert fitted.flags["disable_dynamic_prompt_cache"] is True
    assert fitted.warnings == (
        "--disable_dynamic_prompt_cache is added, which --return_all_prompt_logprobs needs.",
    )


def test_prompt_logprobs_that_are_off_need_nothing() -> None:
    fitted = fit_flags({"return_all_prompt_logprobs": False}, A)
    assert fitted.flags == {"return_all_prompt_logprobs": False}


def test_2026_prompt_logprobs_need_nothing_else() -> None:
    assert fit_flags({"enable_prompt_logprobs": True}, B).flags == {"enable_prompt_logprobs": True}


def test_quantized_kv_cache_is_translated_both_ways() -> None:
    assert fit_flags({"mode": "triton_int8kv"}, B).flags == {"llm_kv_type": "int8kv"}
    assert fit_flags({"llm_kv_type": "int8kv"}, A).flags == {"mode": ("triton_int8kv",)}


def test_mode_without_counterpart_is_left_out() -> None:
    fitted = fit_flags({"mode": ("triton_gqa_attention",)}, B)
    assert not fitted.flags
    assert "--mode, which is left out" in fitted.warnings[0]


def test_prefill_chunks_shrink_to_a_short_request_on_2025() -> None:
    fitted = fit_flags({"max_req_total_len": 2048}, A)
    assert fitted.flags["chunked_prefill_size"] == 2048
    assert "2048 instead of 4096" in fitted.warnings[0]


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        ({"max_req_total_len": 4096}, A),
        ({"max_req_total_len": 2048, "chunked_prefill_size": 1024}, A),
        ({"max_req_total_len": 2048, "disable_chunked_prefill": True}, A),
        ({"max_req_total_len": 2048}, B),
    ],
)
def test_prefill_chunks_stay_where_they_fit(
    wanted: dict[str, FlagValue], known: Mapping[str, FlagKind]
) -> None:
    assert fit_flags(wanted, known).flags == wanted


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("trust_remote_code", "maybe", "is a switch: give true or false, not 'maybe'"),
        ("host", True, "takes a value, not True"),
        ("host", "", "takes a value, not ''"),
        ("host", ("a", "b"), r"takes one value, not \['a', 'b'\]"),
        ("max_req_total_len", "long", "takes a whole number, not 'long'"),
    ],
)
def test_value_of_the_wrong_shape_is_refused(name: str, value: FlagValue, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        fit_flags({name: value}, A)


def test_texts_from_the_command_line_take_their_flags_shape() -> None:
    fitted = fit_flags(
        {"trust-remote-code": "true", "disable_chunked_prefill": "false", "eos_id": "2, 3"}, A
    )
    assert command_line(fitted.flags) == ["--trust_remote_code", "--eos_id", "2", "3"]


VALUES = (
    st.booleans()
    | st.integers(1, 9999)
    | st.text("abc12,", max_size=6)
    | st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
)
NAMES = st.sampled_from([*A, *B, "max_req_input_len", "tpp"])


@given(wanted=st.dictionaries(NAMES, VALUES), known=st.sampled_from([A, B]))
def test_no_flag_reaches_a_version_that_does_not_know_it(
    wanted: dict[str, FlagValue], known: Mapping[str, FlagKind]
) -> None:
    try:
        fitted = fit_flags(wanted, known)
    except ConfigError:
        return
    assert fitted.flags.keys() <= known.keys()
    # Whatever was asked for and is not there any more has been said.
    for name in wanted.keys() - fitted.flags.keys():
        assert any(f"--{name}" in warning for warning in fitted.warnings)
