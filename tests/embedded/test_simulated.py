import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]


def test_known_prompts_get_their_answers_and_others_a_fixed_one(
    start: Start, answers_file: Path
) -> None:
    server = start("--answers", str(answers_file))
    assert server.generate("one").json["generated_text"] == [" first answer"]
    assert server.generate("one \n").json["generated_text"] == [" first answer"]
    assert server.generate("?").json["generated_text"] == ["I do not know this prompt."]
    chat = {"messages": [{"role": "user", "content": "one"}]}
    answer = server.ask("POST", "/v1/chat/completions", chat).json
    assert answer["choices"][0]["message"]["content"] == " first answer"
    raw = {"model": "m", "prompt": "one"}
    assert server.ask("POST", "/v1/completions", raw).json["choices"][0]["text"] == " first answer"


def test_a_slash_is_escaped_and_other_text_is_raw_utf8(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "p", "completion": "a/b é 🎉"}', encoding="utf-8")
    answer = start("--answers", str(path)).generate("p")
    assert "a\\/b é 🎉".encode() in answer.body
    assert answer.json["generated_text"] == ["a/b é 🎉"]


def test_several_answers_to_a_prompt_come_in_turn_or_by_seed(
    start: Start, answers_file: Path
) -> None:
    server = start("--answers", str(answers_file))
    texts = [server.generate("many").json["generated_text"][0] for _ in range(4)]
    assert texts == [" A", " B", " A", " B"]
    assert server.generate("many", seed=1).json["generated_text"] == [" B"]


def test_output_tokens_sets_the_count(start: Start, answers_file: Path) -> None:
    server = start("--answers", str(answers_file))
    answer = server.generate("timed", return_details=True).json
    assert answer["count_output_tokens"] == 20
    assert "".join(token["text"] for token in answer["tokens"]) == " some words in a row"


def test_statistics_tell_exactly_once_and_the_peak(start: Start, answers_file: Path) -> None:
    server = start("--answers", str(answers_file), "--step-ms", "20", "--slots", "4")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(server.generate, ["timed"] * 8))
    stats = server.stats()
    assert stats["requests"] == stats["answered"] == 8
    assert stats["in_flight"] == 0
    # The eighth arrives long before the first is through its 20 steps, unless threads starve.
    assert 4 <= stats["peak_in_flight"] <= 8
    assert stats["prompts_answered"] == {"timed": 8}
    assert stats["first_request_unix_s"] <= stats["last_request_unix_s"]


def test_a_client_that_leaves_is_cancelled_and_frees_its_slot(
    start: Start, answers_file: Path
) -> None:
    server = start("--answers", str(answers_file), "--step-ms", "1000", "--slots", "1")
    with contextlib.closing(server.connect()) as connection:
        body = json.dumps({"inputs": "timed", "parameters": {}})
        connection.request("POST", "/generate", body)
        server.wait_for_stats(lambda stats: stats["in_flight"] == 1)
        assert server.ask("GET", "/token_load").json["current_load"] == 1.0
    stats = server.wait_for_stats(lambda stats: stats["in_flight"] == 0)
    assert (stats["cancelled"], stats["answered"]) == (1, 0)
    assert server.ask("GET", "/token_load").json["current_load"] == 0.0


@pytest.mark.parametrize("status", [503, 429, 500])
def test_a_status_on_demand_and_then_an_answer(start: Start, status: int) -> None:
    server = start("--fault", f"{status}=1")
    assert [server.generate("x").status for _ in range(2)] == [status, 200]
    assert server.stats()["faults"] == {str(status): 1}


def test_a_cut_body_is_shorter_than_it_promises(start: Start) -> None:
    server = start("--fault", "cut=1")
    with pytest.raises(http.client.IncompleteRead):
        server.generate("x")
    assert server.generate("x").status == 200
    assert server.stats()["answered"] == 1


def test_a_cut_stream_ends_after_its_first_event(start: Start) -> None:
    server = start("--fault", "cut=1")
    with pytest.raises(http.client.IncompleteRead) as caught:
        server.ask("POST", "/generate_stream", {"inputs": "x", "parameters": {}})
    assert caught.value.partial.count(b"data:") == 1
    assert b'"finished":true' not in caught.value.partial


def test_garbage_is_a_200_that_is_not_json(start: Start) -> None:
    answer = start("--fault", "garbage=1").generate("x")
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json  # noqa: B018 - reading it is the test


def test_a_reset_connection_is_an_os_error(start: Start) -> None:
    server = start("--fault", "reset=1")
    with pytest.raises(ConnectionError):
        server.generate("x")
    assert server.generate("x").status == 200


def test_a_hanging_request_ends_with_its_client(start: Start) -> None:
    server = start("--fault", "hang=1")
    with contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/generate", json.dumps({"inputs": "x", "parameters": {}}))
        server.wait_for_stats(lambda stats: stats["in_flight"] == 1)
        assert server.generate("x").status == 200
    assert server.wait_for_stats(lambda s: s["in_flight"] == 0)["cancelled"] == 1


def test_faults_spare_prompts_that_have_no_answer(start: Start, answers_file: Path) -> None:
    server = start("--answers", str(answers_file), "--fault", "503=1.0")
    assert server.generate("a probe").status == 200
    assert server.generate("one").status == 503
    everyone = start("--answers", str(answers_file), "--fault", "503=1.0", "--fault-scope", "all")
    assert everyone.generate("a probe").status == 503


def statuses(server: Any, bodies: Sequence[str], workers: int) -> list[int]:
    with ThreadPoolExecutor(workers) as pool:
        return [answer.status for answer in pool.map(server.generate, bodies)]


def test_the_same_requests_fail_whatever_the_concurrency(start: Start) -> None:
    bodies = [f"prompt {number}" for number in range(100)]
    alone = statuses(start("--fault", "503=0.3", "--seed", "5"), bodies, workers=1)
    together = statuses(start("--fault", "503=0.3", "--seed", "5"), bodies, workers=8)
    assert alone == together
    assert {200, 503} == set(alone)


def test_a_server_told_to_die_gives_so_many_answers_and_is_gone(start: Start) -> None:
    server = start("--die-after", "3")
    assert [server.generate("x").status for _ in range(3)] == [200, 200, 200]
    assert server.process.wait(60) == 9
    with pytest.raises(ConnectionError):
        server.generate("x")


def test_a_connection_serves_many_requests_and_pipelines(start: Start) -> None:
    server = start()
    body = b'{"text": "a b"}'
    request = b"POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(request * 3)
        received = b""
        while received.count(b"ntokens") < 3:
            block = connection.recv(4096)
            assert block
            received += block
    assert received.count(b"HTTP/1.1 200 OK") == 3


def test_a_chunked_request_body_is_read(start: Start) -> None:
    server = start()
    with contextlib.closing(server.connect()) as connection:
        parts = [b'{"inputs": "x", ', b'"parameters": {}}']
        connection.request("POST", "/generate", iter(parts), encode_chunked=True)
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    "junk",
    [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"A" * 100_000],
)
def test_bytes_that_are_no_request_end_the_connection_only(start: Start, junk: bytes) -> None:
    server = start()
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(junk)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert server.generate("x").status == 200


@pytest.mark.parametrize("dialect", ["a", "b"])
@pytest.mark.parametrize("start_len", [None, -3, 1, 3, 99, "x"])
def test_positions_before_the_first_one_asked_for_have_no_score(
    start: Start, dialect: str, start_len: Any
) -> None:
    options = ["--return-all-prompt-logprobs"] if dialect == "a" else []
    server = start("--dialect", dialect, *options)
    parameters = {"prompt_logprobs": 0, "max_new_tokens": 1}
    if start_len is not None:
        parameters["logprob_start_len"] = start_len
    answer = server.generate("one two three four", **parameters).json
    ids, items = answer["prompt_token_ids"], answer["prompt_logprobs"]
    if dialect == "b":
        first, *items = items
        assert first is None
        values = [item and item[str(i)]["logprob"] for i, item in zip(ids[1:], items, strict=True)]
    else:
        values = [item[1][str(i)] for i, item in zip(ids[1:], items, strict=True)]
    # What is no number is ignored, as LightLLM ignores the whole key.
    begin = max(start_len, 1) if isinstance(start_len, int) else 1
    assert [value is not None for value in values] == [i >= begin for i in range(1, len(ids))]


@pytest.mark.parametrize("has_bos", [True, False])
def test_the_answer_of_a_known_prompt_is_its_likeliest_continuation(
    start: Start, answers_file: Path, has_bos: bool
) -> None:
    server = start("--answers", str(answers_file))

    def score(prompt: str, text: str) -> float:
        parameters = {"prompt_logprobs": 0, "add_special_tokens": has_bos, "max_new_tokens": 1}
        body = {"text": prompt, "parameters": {"add_special_tokens": has_bos}}
        begin = server.ask("POST", "/tokens", body).json["ntokens"]
        answer = server.generate(prompt + text, **parameters, logprob_start_len=begin).json
        pairs = zip(answer["prompt_token_ids"], answer["prompt_logprobs"], strict=True)
        return float(sum(entry[str(i)]["logprob"] for i, entry in pairs if entry))

    assert score("one", " first answer") > -0.01
    assert score("one", " first other") < -1
    assert score("one", " first answer and more") < -1
    assert score("many", " A") > -0.01
    assert score("many", " B") > -0.01
    # Unknown prompts: made up from the tokens alone.
    assert score("zero", " first answer") == score("none", " first answer") < -0.01
