"""What a client may ask about a server."""

from typing import Any

import pytest

Target = Any


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_says_ok(server: Target, path: str) -> None:
    response = server.ask("GET", path)
    assert (response.status_code, response.json()) == (200, {"message": "Ok"})


def test_health_answers_head_without_a_body(server: Target) -> None:
    response = server.ask("HEAD", "/health")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", ["/liveness", "/readiness"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_liveness_and_readiness_are_constant(server: Target, method: str, path: str) -> None:
    response = server.ask(method, path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_model_has_a_name(server: Target, method: str) -> None:
    response = server.ask(method, "/get_model_name")
    assert response.status_code == 200
    assert isinstance(response.json()["model_name"], str)


def test_load_is_three_shares(server: Target) -> None:
    load = server.ask("GET", "/token_load").json()
    assert set(load) == {"current_load", "logical_max_load", "dynamic_max_load"}
    assert load["logical_max_load"] == load["dynamic_max_load"]


def test_server_info_tells_the_limits_and_the_dialect(server: Target) -> None:
    response = server.ask("GET", "/get_server_info")
    if server.dialect == "a":
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
        return
    info = response.json()
    assert response.status_code == 200
    assert info["model_name"] == server.ask("GET", "/get_model_name").json()["model_name"]
    assert info["max_req_total_len"] == server.max_total
    assert isinstance(info["running_max_req_size"], int)


def test_models_lists_the_one_model(server: Target) -> None:
    response = server.ask("GET", "/v1/models")
    if server.dialect == "a":
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
        return
    (model,) = response.json()["data"]
    assert model["id"] == server.ask("GET", "/get_model_name").json()["model_name"]
    assert model["max_model_len"] == server.max_total


def test_metrics_count_requests_and_have_no_content_type(server: Target) -> None:
    def count() -> float:
        response = server.ask("GET", "/metrics")
        assert "content-type" not in response.headers
        lines = response.text.splitlines()
        name = "lightllm_request_count_total"
        values = [line.rpartition(" ")[2] for line in lines if line.startswith(name)]
        return float(values[0]) if values else 0.0

    before = count()
    server.generate(max_new_tokens=1)
    assert count() > before


@pytest.mark.parametrize("path", ["/no/such/path", "/generate/", "/v2/models"])
def test_an_unknown_path_is_404(server: Target, path: str) -> None:
    response = server.ask("GET", path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/generate", "POST"),
        ("GET", "/generate_stream", "POST"),
        ("PUT", "/v1/completions", "POST"),
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/token_load", "GET"),
    ],
)
def test_a_wrong_method_is_405(server: Target, method: str, path: str, allowed: str) -> None:
    response = server.ask(method, path)
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert response.headers["allow"] == allowed


def test_a_model_without_rewards_has_no_score(server: Target) -> None:
    response = server.ask("POST", "/get_score", {"chat": "hi"})
    assert response.status_code == 417
    assert server.message(response) == "'score'"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_tokens_are_counted(server: Target, method: str) -> None:
    text = {"text": "a b c"}
    with_specials = server.ask(method, "/tokens", text).json()["ntokens"]
    bare = server.ask(method, "/tokens", {**text, "parameters": {"add_special_tokens": False}})
    assert 1 <= bare.json()["ntokens"] <= with_specials <= bare.json()["ntokens"] + 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "error: Expecting value: line 1 column 1 (char 0)"),
        (
            b"{",
            "error: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (b"{}", "error: 'text'"),
    ],
)
def test_every_failure_of_tokens_is_417(server: Target, body: bytes, message: str) -> None:
    response = server.ask("POST", "/tokens", body)
    assert response.status_code == 417
    assert server.message(response) == message


def test_tokens_of_token_ids_is_417(server: Target) -> None:
    response = server.ask("POST", "/tokens", {"text": [1, 2, 3]})
    assert response.status_code == 417
    assert server.message(response).startswith("error: ")


def test_only_the_older_tokens_refuses_generation_parameters(server: Target) -> None:
    body = {"text": "a", "parameters": {"max_new_tokens": 5}}
    status = server.ask("POST", "/tokens", body).status_code
    assert status == (417 if server.dialect == "a" else 200)
