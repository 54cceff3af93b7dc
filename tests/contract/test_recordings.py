"""What LightLLM's own front end answered, asked again of the embedded server.

Status, headers and shape must be the same. Where they are not, ``DIFFERENCES`` says why; texts,
log-probabilities, times and ids differ with the model and are never compared.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

TIMEOUT_S = 300.0
FILES = {"a": "a-*.jsonl", "b": "b-*.jsonl"}

DIFFERENCES = {
    # path or name of the recording: reason
    "/metrics": "only the counters that we keep; the name and the framing are compared",
    "/get_server_info": "only the settings that mean something here; each must be a real one",
}

CUT_OFF = re.compile(r"\.\.\.\[\d+ bytes total\]$")
"""How the recorder marks a long body of which it kept the beginning."""

UNLIMITED = (
    "its output is unlimited and ends with the context: no answer before the recorder's deadline, "
    "and minutes on this model; asked of the simulated backend only"
)
"""Why recordings without a limit on the output are not asked of a real model."""


class Answer(NamedTuple):
    """What came back; a body that was cut off is marked, as the recorder did."""

    status: int
    headers: dict[str, str]
    body: str
    is_cut: bool


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "recording" not in metafunc.fixturenames:
        return
    directory = metafunc.config.rootpath.parent / "shared" / "lightllm-recordings"
    cases: list[Any] = []
    for dialect, pattern in FILES.items():
        for path in sorted(directory.glob(pattern)):
            for line in path.read_text(encoding="utf-8").splitlines():
                recording = json.loads(line)
                label = f"{dialect}-{len(cases)}-{recording['name']}"
                cases.append(pytest.param((dialect, recording), id=label))
    if not cases:
        missing = pytest.mark.skip(reason=f"no recordings beside the checkout: {FILES}")
        cases = [pytest.param(None, marks=missing, id="none")]
    metafunc.parametrize("recording", cases)


@pytest.fixture(scope="module")
def url_of(
    start_embedded: Callable[..., contextlib.AbstractContextManager[str]],
) -> Iterator[Callable[[str], str]]:
    """A function that gives the URL of an embedded server with the recorder's limits."""
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def url(name: str) -> str:
            if name not in urls:
                options = ["--max-req-total-len", "2048", "--slots", "2"]
                urls[name] = stack.enter_context(start_embedded(name, *options))
            return urls[name]

        yield url


@pytest.mark.parametrize("backend", ["simulated", "llama"])
def test_a_recorded_request_is_answered_alike(
    recording: tuple[str, dict[str, Any]], backend: str, url_of: Callable[[str], str]
) -> None:
    dialect, recorded = recording
    if backend == "llama" and has_unlimited_output(dialect, recorded):
        pytest.skip(UNLIMITED)
    answer = ask(url_of(f"{backend}-{dialect}"), recorded)
    expected = expected_answer(recorded)
    if recorded["status"] is None:
        # The recorder gave up; whoever waits longer gets an answer.
        assert answer.status == 200
        return
    assert answer.status == expected.status
    assert compared(answer.headers) == compared(expected.headers)
    assert answer.is_cut == expected.is_cut
    if recorded["path"] in DIFFERENCES and answer.status == 200:
        check_names(recorded["path"], answer.body, recorded["response"])
    elif CUT_OFF.search(expected.body):
        assert begins_alike(answer.body, CUT_OFF.sub("", expected.body))
    else:
        assert shape_of_body(answer) == shape_of_body(expected)


def has_unlimited_output(dialect: str, recorded: dict[str, Any]) -> bool:
    if recorded["status"] is None:
        return True
    if dialect == "a" or recorded["status"] != 200 or recorded["method"] != "POST":
        return False
    has_limit = re.search(r'"max_(new_|completion_)?tokens": *\d', recorded["request"])
    makes_tokens = recorded["path"] in {"/", "/generate", "/generate_stream", "/v1/completions"}
    return makes_tokens and has_limit is None


def ask(url: str, recorded: dict[str, Any]) -> Answer:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=TIMEOUT_S
    )
    body = restored_request(recorded).encode("utf-8")
    headers = {"Content-Type": "application/json"} if body else {}
    with contextlib.closing(connection):
        connection.request(recorded["method"], recorded["path"], body or None, headers)
        response = connection.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        try:
            return Answer(response.status, lowered, response.read().decode("utf-8"), False)
        except http.client.IncompleteRead as error:
            return Answer(response.status, lowered, error.partial.decode("utf-8"), True)


def restored_request(recorded: dict[str, Any]) -> str:
    """Returns the request; the recorder kept only the beginning of long ones, all "word "."""
    request = str(recorded["request"])
    start = request.find("word word word")
    if len(request) < 400 or start < 0:
        return request
    tokens = re.search(r"len (\d+) \+ max_new_tokens +(\d+)", recorded["response"])
    length = re.search(r"text length (\d+)", recorded["response"])
    num_words = int(length[1]) // 5 if length else int(tokens[1]) if tokens else 3000
    if recorded["status"] is None:
        # It fitted, so it was one of the short ones.
        num_words = 100
    new = int(tokens[2]) if tokens else 3
    prompt = request[:start] + "word " * num_words
    tails = {
        "/v1/completions": f'", "max_tokens": {new}, "stream": true}}',
        "/v1/chat/completions": f'"}}], "max_tokens": {new}}}',
    }
    native = f'", "parameters": {{"do_sample": false, "max_new_tokens": {new}}}}}'
    return prompt + tails.get(recorded["path"], native)


def expected_answer(recorded: dict[str, Any]) -> Answer:
    note = recorded["headers"].get("note", "")
    headers = recorded["headers"]
    if note:
        pairs = re.findall(r"'([\w-]+)': '([^']*)'", note)
        headers = dict(pairs)
    return Answer(recorded["status"] or 0, headers, recorded["response"], "IncompleteRead" in note)


def compared(headers: dict[str, str]) -> dict[str, str]:
    """Returns the headers that a client goes by."""
    names = ("content-type", "transfer-encoding", "allow")
    return {name: headers[name] for name in names if name in headers}


def shape_of_body(answer: Answer) -> Any:
    """Returns what is the same for every model: types and names, or the words of a refusal."""
    if answer.body.startswith("data:"):
        return shapes_of_events(answer.body)
    try:
        value = json.loads(answer.body)
    except json.JSONDecodeError:
        return answer.body
    if answer.status != 200:
        return without_numbers(value)
    return shape(value)


def begins_alike(body: str, kept: str) -> bool:
    """Returns whether all that was kept of a recorded body is in ours: events or names."""
    if kept.startswith("data:"):
        whole_events = kept.rpartition("\n\n")[0]
        ours = shapes_of_events(body)
        return all(event in ours for event in shapes_of_events(whole_events))
    return names_in(kept) <= names_in(body)


def shapes_of_events(body: str) -> list[Any]:
    """Returns the distinct events in order; how many there are is the model's choice."""
    shapes: list[Any] = []
    for event in body.split("\n\n"):
        prefix = "data: " if event.startswith("data: ") else "data:"
        content = event.removeprefix(prefix)
        try:
            found: Any = (prefix, shape(json.loads(content)))
        except json.JSONDecodeError:
            if content.strip() != "[DONE]":
                continue
            found = (prefix, "[DONE]")
        if found not in shapes:
            shapes.append(found)
    return shapes


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {"<id>" if key.isdigit() else key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes: list[Any] = []
        for item in map(shape, value):
            if item not in shapes:
                shapes.append(item)
        return shapes
    return type(value).__name__


def without_numbers(value: Any) -> Any:
    """Returns a refusal with each number of tokens as N: they depend on the tokenizer."""
    text = json.dumps(value)
    return re.sub(r"token len \d+", "token len N", text)


def names_in(body: str) -> set[str]:
    return set(re.findall(r'"([a-z_]+)":', body))


def check_names(path: str, ours: str, recorded: str) -> None:
    if path == "/metrics":
        assert "lightllm_request_count_total" in ours
        return
    kept = CUT_OFF.sub("", recorded)
    settings = json.loads(ours)
    assert {"max_req_total_len", "running_max_req_size", "model_name"} <= set(settings)
    # The recorder kept only the first quarter of the settings; those in it are LightLLM's words.
    known = set(settings) & names_in(kept)
    assert {"run_mode", "host", "port", "model_name", "max_total_token_num", "eos_id"} <= known


def test_every_listed_difference_is_in_the_documentation(pytestconfig: pytest.Config) -> None:
    page = Path(pytestconfig.rootpath) / "docs" / "embedded.md"
    text = page.read_text(encoding="utf-8")
    for path in DIFFERENCES:
        assert f"`{path}`" in text
