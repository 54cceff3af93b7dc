from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from lightllm_evals.client import Client, base_url
from lightllm_evals.client.address import proxies_for
from lightllm_evals.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:1030", "http://127.0.0.1:1030"),
        ("host:1030", "http://host:1030"),
        ("gpu1", "http://gpu1"),
        ("  http://h:1030/generate ", "http://h:1030"),
        ("http://h:1030/generate_stream/", "http://h:1030"),
        ("h:1030/v1/chat/completions", "http://h:1030"),
        ("http://h:1030/v1", "http://h:1030"),
        ("http://h:1030///", "http://h:1030"),
        ("HTTPS://Example.COM/llm/generate", "https://example.com/llm"),
        ("http://[::1]:1030/", "http://[::1]:1030"),
        ("[::1]:1030", "http://[::1]:1030"),
        ("http://h:1030/degenerate", "http://h:1030/degenerate"),
    ],
)
def test_what_people_write_becomes_a_base_url(text: str, expected: str) -> None:
    assert base_url(text) == expected
    assert base_url(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "http://",
        ":1030",
        "1030",
        "ftp://h:1030",
        "http:/h:1030",
        "http:h",
        "h:port",
        "h:99999",
        "h:",
        "two words",
        "http://h:1030/?x=1",
        "http://h#part",
        "http://[::1",
        "http://[zz]:1",
        "---",
        "file:///etc/hosts",
    ],
)
def test_nonsense_is_refused_with_one_sentence_that_quotes_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        base_url(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_refused_and_never_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        base_url("http://user:secret@h:1030")
    assert "secret" not in str(caught.value)


@pytest.fixture
def _proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Lets one name resolve to an address, without a network."""

    def set_up(name: str, found: str) -> None:
        def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
            if host != name:
                raise socket.gaierror(socket.EAI_NONAME, "no such host")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_up


@pytest.mark.usefixtures("_proxied")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "a.localhost",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.5",
        "169.254.1.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
    ],
)
def test_no_proxy_gets_between_us_and_a_private_address(host: str) -> None:
    assert proxies_for(f"http://{host}:1030") == {}


@pytest.mark.usefixtures("_proxied")
def test_a_name_counts_by_what_it_resolves_to(resolve: Callable[[str, str], None]) -> None:
    resolve("gpu1", "10.0.0.7")
    assert proxies_for("http://gpu1:1030") == {}
    resolve("gpu1", "8.8.8.8")
    assert proxies_for("http://gpu1:1030")["http"] == "http://127.0.0.1:9"
    # What only the proxy can resolve is public.
    assert proxies_for("http://elsewhere:1030")["http"] == "http://127.0.0.1:9"


@pytest.mark.usefixtures("_proxied")
def test_a_public_host_is_reached_by_the_proxy_unless_no_proxy_names_it(
    resolve: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("llm.example.com", "93.184.216.34")
    assert proxies_for("http://llm.example.com")["http"] == "http://127.0.0.1:9"
    assert proxies_for("http://8.8.8.8:1030")["http"] == "http://127.0.0.1:9"
    monkeypatch.setenv("no_proxy", "example.com")
    assert proxies_for("http://llm.example.com") == {}


@pytest.mark.usefixtures("_proxied")
def test_a_request_to_loopback_goes_straight_there(
    serve: Callable[..., Any], connect: Callable[..., Client], ask: Callable[..., Any]
) -> None:
    server = serve(lambda exchange: exchange.reply())
    assert connect(server.url, retries=0).complete(ask()).text == " Paris.\n"


def test_a_request_to_a_public_host_does_go_by_the_proxy(
    serve: Callable[..., Any],
    connect: Callable[..., Client],
    ask: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    resolve: Callable[[str, str], None],
) -> None:
    proxy = serve(lambda exchange: exchange.reply())
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = connect("http://203.0.114.7:1030", retries=0)
    assert client.complete(ask()).text == " Paris.\n"
    assert proxy.requests[0].path == "http://203.0.114.7:1030/generate"
