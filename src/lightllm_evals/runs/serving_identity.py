"""What about the servers of a run decides its completions and its timings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lightllm_evals.fingerprint import digest

# Settings that say where a server is, not how it answers; many change at each start.
_PLACE = re.compile(r"(^|_)(host|ports?|ip|dir|path|url|name|id|key|token|file)(_|$)")
# What LightLLM calls a model that nobody named.
_UNNAMED = {"", "default_model_name"}


def lasting_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the launch settings that are the same when the server is started again."""
    return {
        name: value
        for name, value in sorted(settings.items())
        if not _PLACE.search(name) and value is not None
    }


def server_key(servers: Sequence[Mapping[str, Any]]) -> str:
    """Returns the hash of what makes servers give the same completions.

    Args:
        servers: ``ServerInfo`` of each replica, as ``run.json`` has it.
    """
    return digest(sorted(digest(_answering(server)) for server in servers))


def _answering(server: Mapping[str, Any]) -> list[Any]:
    settings = lasting_settings(server.get("settings") or {})
    return [_model(server), server.get("dialect"), settings]


def _model(server: Mapping[str, Any]) -> str:
    """Returns the name as the server says it, else its model's folder, else where it is."""
    told = str(server.get("model_name") or "")
    if told not in _UNNAMED:
        return told
    found = model_name({"servers": [server]})
    # Nothing says which model it is, and another one may listen elsewhere.
    return f"unnamed at {server.get('url')}" if found in _UNNAMED else found


def server_differences(
    then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Returns in what two runs' servers differ so that completions differ, as phrases."""
    if server_key(then) == server_key(now):
        return []
    if len(then) != len(now):
        return [f"the number of servers: {len(then)} -> {len(now)}"]
    before, after = (_flat(servers[0]) for servers in (then, now))
    found = [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    return found or ["the settings of one of its servers"]


def _flat(server: Mapping[str, Any]) -> dict[str, Any]:
    name, dialect, settings = _answering(server)
    return {"model": name, "dialect": dialect, **settings}


def model_name(identity: Mapping[str, Any]) -> str:
    """Returns the name of a run's model.

    A server that was not told a name says none that means anything; then it is the name of the
    model's folder, else the profile's.

    Args:
        identity: What ``run.json`` has.
    """
    servers = identity.get("servers") or [{}]
    found = str(servers[0].get("model_name") or "")
    if found in _UNNAMED:
        settings = servers[0].get("settings") or {}
        found = str(settings.get("model_dir") or identity.get("profile") or found)
    # Of a path its last part: a baseline is read on other machines.
    return PurePosixPath(found).name or found
