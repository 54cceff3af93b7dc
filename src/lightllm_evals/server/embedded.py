"""Starts the embedded server in a child process and finds out where it listens."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lightllm_evals.errors import ConfigError, ServerStartError
from lightllm_evals.server.log_watch import log_tail
from lightllm_evals.server.process import ServerProcess

READY_MARK = "LIGHTLLM_EVALS_READY "
# The child's way to say that what was asked for cannot be had; its last line says why.
_CONFIG_EXIT_CODE = 4
_GRACE_S = 5.0


def start_embedded(
    args: Sequence[str], *, log_path: Path, start_timeout_s: float
) -> ServerProcess:
    """Returns the embedded server, ready to answer, on a port of its own choice.

    Args:
        args: Further options of ``python -m lightllm_evals.embedded``.
        log_path: File for everything that it writes.
        start_timeout_s: Seconds until it must be ready; the first use downloads the model.

    Raises:
        ConfigError: What was asked for cannot be had (weights missing or corrupt, no network).
        ServerStartError: It ended otherwise, or was not ready in time.
    """
    return start_announcing(
        (
            sys.executable,
            "-m",
            "lightllm_evals.embedded",
            "--port",
            "0",
            "--exit-with-parent",
            *args,
        ),
        log_path=log_path,
        start_timeout_s=start_timeout_s,
    )


def start_announcing(
    command: tuple[str, ...], *, log_path: Path, start_timeout_s: float
) -> ServerProcess:
    """Returns the server that a command starts and that announces its address by itself.

    The command writes a line ``LIGHTLLM_EVALS_READY {"url": ...}`` when it is ready.

    Raises:
        ConfigError: It ended with status 4; its last line is the reason.
        ServerStartError: It ended otherwise, or was not ready in time.
    """
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(command, log_path=log_path, grace_s=_GRACE_S))
        try:
            server.wait_until(lambda: _has_announced(server), start_timeout_s)
        except ServerStartError as error:
            if error.exit_code != _CONFIG_EXIT_CODE:
                raise
            raise ConfigError(log_tail(log_path, num_lines=1, max_width=2000)) from error
        # Ready: from here on the caller ends it.
        stack.pop_all()
    return server


def _has_announced(server: ServerProcess) -> bool:
    for line in server.log_path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(READY_MARK):
            try:
                server.url = str(json.loads(line.removeprefix(READY_MARK))["url"]).rstrip("/")
            except (ValueError, KeyError):
                continue  # the line is not complete yet
            return True
    return False
