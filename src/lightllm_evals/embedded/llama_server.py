"""llama.cpp's own server inside this process, and the few questions that we ask it.

xllamacpp starts it as threads of this process, on a loopback port of its own that only a key
made at start opens. See https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightllm_evals.errors import ConfigError, ServerError, ServerStartError

ASK_TIMEOUT_S = 60.0


class LlamaServer:
    """A loaded model behind llama.cpp's HTTP interface."""

    def __init__(self, gguf: Path, *, num_slots: int, context: int, threads: int) -> None:
        try:
            import xllamacpp  # noqa: PLC0415 - optional, and slow to import
        except ImportError as error:
            raise ConfigError(
                f"The embedded server needs xllamacpp ({error}). "
                "Run: pip install 'lightllm-evals[cpu]'"
            ) from error
        if not gguf.is_file():
            raise ConfigError(f"There is no model file {gguf}. Give a GGUF file with --gguf.")
        self._key = secrets.token_hex(16)
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_parallel = num_slots
        params.n_ctx = num_slots * context
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.n_threads_http = num_slots + 8
        # Slots keep their prompt anyway; this one would fill gigabytes of memory besides.
        params.cache_ram_mib = 0
        params.verbosity = 0
        params.api_keys = [self._key]
        params.ui = False
        try:
            with _no_stdout():
                self._server = xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise ServerStartError(
                f"llama.cpp cannot load {gguf}: {str(error).rstrip('.')}. Is it a whole GGUF file?"
            ) from error
        address = urlsplit(self._server.listening_address)
        self._host, self._port = str(address.hostname), int(address.port or 0)

    def ask(self, path: str, body: Any = None) -> Any:
        """Returns the answer to one short question; blocks while it is made."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ASK_TIMEOUT_S)
        try:
            connection.request(
                "GET" if body is None else "POST",
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            )
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        return _checked(path, response.status, answer)

    async def completion(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yields the parts of one completion; closing the iterator ends it and frees its slot."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            payload = json.dumps({**body, "stream": True}).encode()
            head = (
                f"POST /completion HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
                f"Authorization: Bearer {self._key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(payload)}\r\n\r\n"
            )
            writer.write(head.encode("latin-1") + payload)
            status = await _read_head(reader)
            if status != 200:
                _checked("/completion", status, await reader.read())
            async for part in _events(reader):
                yield part
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ServerError(f"llama.cpp broke off a completion: {error}") from error
        finally:
            writer.close()


async def _read_head(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


async def _events(reader: asyncio.StreamReader) -> AsyncGenerator[dict[str, Any], None]:
    """Yields the JSON of server-sent events in a chunked body."""
    buffer = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        buffer += (await reader.readexactly(size + 2))[:-2]
        *whole, buffer = buffer.split(b"\n\n")
        for event in whole:
            if event.startswith(b"data: {"):
                part = json.loads(event[6:])
                if "error" in part:
                    raise ServerError(f"llama.cpp: {part['error']}")
                yield part


def _checked(path: str, status: int, answer: bytes) -> Any:
    if status != 200:
        text = answer.decode("utf-8", "replace")[:500]
        raise ServerError(f"llama.cpp answered {status} to {path}: {text}")
    return json.loads(answer)


@contextlib.contextmanager
def _no_stdout() -> Iterator[None]:
    """Sends what C code prints to standard error: our output is one line for the parent."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
