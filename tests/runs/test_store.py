from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.fingerprint import request_key
from lightllm_evals.records import Completion, Message, Request, SamplingParams
from lightllm_evals.runs.past_run import json_lines
from lightllm_evals.runs.store import FILE_NAME, CompletionStore, stored_completions


def completion(text: str) -> Completion:
    return Completion(
        text=text, finish_reason="stop", prompt_tokens=3, output_tokens=2, latency_s=0.5
    )


def read(folder: Path) -> dict[str, Completion]:
    return stored_completions(json_lines(folder / FILE_NAME))


def test_what_is_stored_is_read_whatever_the_text(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path, {})
    # A model can return half of a surrogate pair, which has no UTF-8.
    texts = {"a": "1\n2\u2028", "b": "\ud83d", "c": ""}
    for key, text in texts.items():
        store.add(key, completion(text))
    store.close()
    store.add("d", completion("too late"))
    assert read(tmp_path) == {key: completion(text) for key, text in texts.items()}
    assert store.failure is None


@given(cut=st.integers(min_value=1))
def test_a_torn_line_takes_no_other_along(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = CompletionStore(folder, {})
    for key in "ab":
        store.add(key, completion(f"text {key}"))
    store.close()
    path = folder / FILE_NAME
    first, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + last[: -(1 + cut % (len(last) - 1))])
    assert read(folder).keys() in ({"a"}, {"a", "b"})
    assert read(folder)["a"] == completion("text a")


def test_carried_completions_are_in_the_file_once_and_from_the_start(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path, {"a": completion("old")})
    assert read(tmp_path) == {"a": completion("old")}
    store.add("a", completion("old"))
    store.add("b", completion("new"))
    store.close()
    lines = (tmp_path / FILE_NAME).read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]


def test_all_that_determines_a_completion_is_in_its_key() -> None:
    params = SamplingParams(max_new_tokens=8)
    requests = [
        Request(id="x", params=params, prompt="p"),
        Request(id="x", params=params, prompt="q"),
        Request(id="x", params=params, prompt="p", repeat=1),
        Request(id="x", params=params, prompt="p", api="completions"),
        Request(id="x", params=params, messages=(Message(role="user", content="p"),), api="chat"),
        Request(id="x", params=SamplingParams(max_new_tokens=9), prompt="p"),
        Request(id="x", params=params, token_ids=(1, 2)),
    ]
    keys = [request_key(server, each) for server in ("s", "t") for each in requests]
    assert all(a != b for a, b in itertools.combinations(keys, 2))
    same = Request(id="another", params=params, prompt="p", prefix="p")
    assert request_key("s", same) == keys[0]
