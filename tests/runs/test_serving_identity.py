from __future__ import annotations

from typing import Any

import pytest

from lightllm_evals.runs.serving_identity import server_differences, server_key

UNNAMED = "default_model_name"


def server(name: str, port: int = 8000, **settings: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    return {"url": url, "model_name": name, "dialect": "b", "settings": settings}


@pytest.mark.parametrize("name", ["", UNNAMED])
def test_models_that_nobody_named_are_told_apart_by_their_folders(name: str) -> None:
    then = [server(name, model_dir="/models/llama-7b")]
    now = [server(name, model_dir="/models/qwen-7b/")]
    assert server_key(then) != server_key(now)
    assert server_differences(then, now) == ["model: llama-7b -> qwen-7b"]


def test_servers_of_which_nothing_is_known_are_told_apart_by_their_address() -> None:
    then, now = [server(UNNAMED, 8000)], [server(UNNAMED, 8001)]
    assert server_differences(then, then) == []
    assert server_differences(then, now) == [
        "model: unnamed at http://127.0.0.1:8000 -> unnamed at http://127.0.0.1:8001"
    ]


@pytest.mark.parametrize(
    ("name", "settings"), [("llama", {}), (UNNAMED, {"model_dir": "/models/llama-7b"})]
)
def test_a_known_model_may_come_back_on_another_port(name: str, settings: dict[str, Any]) -> None:
    then = [server(name, 8000, nccl_port=28765, **settings)]
    now = [server(name, 8001, nccl_port=28766, **settings)]
    assert server_key(then) == server_key(now)
    assert server_differences(then, now) == []


def test_a_name_that_a_server_tells_counts_as_a_whole() -> None:
    then, now = [server("lab-a/llama")], [server("lab-b/llama")]
    assert server_differences(then, now) == ["model: lab-a/llama -> lab-b/llama"]


def test_other_models_among_replicas_are_another_serving() -> None:
    then = [server("llama", 8000), server(UNNAMED, 8001, model_dir="/models/llama")]
    now = [server("llama", 8000), server(UNNAMED, 8001, model_dir="/models/qwen")]
    assert server_key(then) != server_key(now)
