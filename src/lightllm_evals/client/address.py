"""Where a server is, and how to get there: base URLs and proxies."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from lightllm_evals.errors import ConfigError

# What people paste: LightLLM's own scripts ask for an address that ends in one of these.
_ENDPOINTS = (
    "/generate",
    "/generate_stream",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1",
    "/health",
    "/get_model_name",
)


def base_url(text: str) -> str:
    """Returns the base URL of a server, without a trailing slash or an endpoint's path.

    Takes what people write: ``host:1030``, ``http://host:1030/``, ``http://host:1030/generate``.

    Raises:
        ConfigError: It cannot be the address of an HTTP server.
    """
    stripped = text.strip()
    with_scheme = stripped if "://" in stripped else f"http://{stripped}"
    scheme, _, rest = with_scheme.partition("://")
    try:
        parts = urlsplit(f"{scheme.lower()}://{rest}")
        port = parts.port
    except ValueError as error:
        raise _nonsense(text, str(error)) from error
    _check(text, parts.scheme, parts.hostname or "", parts.netloc)
    if parts.query or parts.fragment:
        raise _nonsense(text, "it has a query or a fragment")
    host = parts.hostname or ""
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority += f":{port}"
    return f"{parts.scheme}://{authority}{_prefix(parts.path)}"


def _check(text: str, scheme: str, host: str, netloc: str) -> None:
    if scheme not in {"http", "https"}:
        raise _nonsense(text, f"scheme {scheme!r} is neither http nor https")
    if not host:
        raise _nonsense(text, "it names no host")
    if "@" in netloc:
        raise ConfigError(
            "A server URL must not carry a user name or password: LightLLM has no "
            "authentication, and the URL is written to every report."
        )
    if netloc.endswith(":"):
        raise _nonsense(text, "there is no port after the colon")
    if "[" in netloc or ":" in host:
        _check_ipv6(text, host)
    elif not re.fullmatch(r"[\w.-]+", host) or not re.search(r"\w", host):
        raise _nonsense(text, f"{host!r} is not a host name")
    elif host.isdigit():
        raise _nonsense(text, f"{host!r} is a number, not a host name")


def _check_ipv6(text: str, host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError as error:
        raise _nonsense(text, f"{host!r} is not an IPv6 address") from error


def _nonsense(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is not the URL of a server: {why}. Give a base URL such as "
        "http://127.0.0.1:1030."
    )


def _prefix(path: str) -> str:
    """Returns what a reverse proxy put before LightLLM's own paths."""
    path = path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            return path.removesuffix(endpoint).rstrip("/")
    return path


def proxies_for(url: str) -> dict[str, str]:
    """Returns the proxies of the environment for a URL, none for a host that is not public.

    A proxy cannot reach the loopback address of this machine, and should not see the traffic
    of a private network. Names are looked up only where a proxy would be used.
    """
    host = urlsplit(url).hostname or ""
    if _is_named_local(host):
        return {}
    proxies: Mapping[str, str] = get_environ_proxies(url, no_proxy=None)
    if not proxies or _is_private(host):
        return {}
    return dict(proxies)


def _is_named_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or _is_private_literal(host)


def _is_private_literal(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not address.is_global


def _is_private(host: str) -> bool:
    """Returns whether every address of a host is private; False where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(_is_private_literal(str(entry[4][0])) for entry in found)
