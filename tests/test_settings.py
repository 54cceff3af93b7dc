from __future__ import annotations

import math
from typing import Any

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.settings import Settings, resolve_settings


def test_nothing_given_is_the_default() -> None:
    assert resolve_settings({}) == Settings()
    assert resolve_settings({"url": [], "api": None, "limit": ""}) == Settings()


def test_urls_come_one_by_one_or_with_commas() -> None:
    found = resolve_settings({"url": ["http://a:1, http://b:2", "http://c:3"]})
    assert found.urls == ("http://a:1", "http://b:2", "http://c:3")


def test_texts_become_values() -> None:
    found = resolve_settings(
        {
            "limit": "All",
            "repeats": "3",
            "rate": "0.5",
            "retries": "0",
            "variant": ["humaneval=bigcode,toy=default"],
            "param": ["temperature=0.8", "max_new_tokens=7,seed=-1"],
            "min_isolation": "0",
        }
    )
    assert found.limit == math.inf
    assert (found.repeats, found.rate, found.retries) == (3, 0.5, 0)
    assert found.variants == {"humaneval": "bigcode", "toy": "default"}
    assert found.params == {
        "temperature": 0.8,
        "max_new_tokens": 7,
        "seed": -1,
        "do_sample": True,
    }
    assert found.minimum_isolation == 0


def test_greedy_can_be_said_next_to_a_temperature() -> None:
    found = resolve_settings({"param": ["do_sample=False", "temperature=0.8"]})
    assert found.params["do_sample"] is False


@pytest.mark.parametrize(
    ("given", "kind", "wait_s"),
    [
        ({"url": ["http://a:1"]}, "connected", 60.0),
        ({"model_dir": "/models/x"}, "started", 600.0),
        ({}, "embedded", 600.0),
        ({"url": ["http://a:1"], "start_timeout": "5"}, "connected", 5.0),
    ],
)
def test_a_server_that_runs_already_has_less_time_to_answer(
    given: dict[str, Any], kind: str, wait_s: float
) -> None:
    found = resolve_settings(given)
    assert (found.serving_kind, found.ready_within_s) == (kind, wait_s)


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("api", "grpc", "--lightllm-api takes generate, chat, completions, not 'grpc'."),
        ("limit", "0", "--lightllm-limit takes a whole number from 1 on, or all, not '0'."),
        ("limit", "half", "--lightllm-limit takes"),
        ("repeats", "1.5", "--lightllm-repeats takes a whole number from 1 on, not '1.5'."),
        ("concurrency", "0", "--lightllm-concurrency takes"),
        ("replicas", "-1", "--lightllm-replicas takes"),
        ("rate", "inf", "--lightllm-rate takes requests a second, above 0, not 'inf'."),
        ("request_timeout", "nan", "--lightllm-request-timeout takes seconds, above 0"),
        ("start_timeout", "0", "--lightllm-start-timeout takes seconds, above 0"),
        ("retries", "-1", "--lightllm-retries takes a whole number from 0 on"),
        ("min_isolation", "4", "--lightllm-min-isolation takes a level from 0 to 3, not '4'."),
        ("variant", ["humaneval"], "--lightllm-variant takes NAME=VALUE, not 'humaneval'."),
        ("param", ["temp=1"], "--lightllm-param knows no 'temp'; it takes do_sample"),
        ("param", ["temperature=0"], "takes a number above 0 (greedy: leave it out), not '0'."),
        ("param", ["top_p=1.1"], "--lightllm-param top_p takes a number above 0, up to 1"),
        ("param", ["top_k=0"], "--lightllm-param top_k takes a whole number from 1 on, or -1"),
        ("param", ["repetition_penalty=nan"], "takes a number from 1 on, not 'nan'."),
        ("param", ["do_sample=maybe"], "takes true or false, not 'maybe'."),
        ("shard", "0/4", "--lightllm-shard"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_option(
    option: str, value: Any, wanted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_settings({option: value})
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"url": ["http://a:1"], "model_dir": "/models/x"},
        {"url": ["http://a:1"], "gguf": "x.gguf"},
        {"server_arg": ["tp=2"]},
        {"resume": "last", "rescore": "last"},
        {"fresh": True, "resume": "last"},
        {"shard": "1/2", "save_baseline": "b.json"},
    ],
)
def test_options_that_exclude_each_other_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        resolve_settings(given)
