"""Messages over a pipe: four bytes of length, then JSON."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_HEADER = struct.Struct(">I")
_CHUNK = 1 << 20

MAX_FRAME_BYTES = 16 << 20
# Parsed JSON takes far more than its text: a bound on what a message may grow to.
MAX_PARSED_BYTES = 96 << 20
_BYTES_PER_NODE = 64


class FrameError(Exception):
    """The other side sent what is no message."""


class FrameTooLargeError(FrameError):
    """The other side sent more than a message may hold."""


def pack(message: Any) -> bytes:
    """Returns the message as it travels."""
    text = json.dumps(message, separators=(",", ":"), check_circular=False).encode()
    return _HEADER.pack(len(text)) + text


def parse(text: bytes) -> Any:
    """Returns the JSON value; NaN and Infinity are no JSON here.

    Raises:
        FrameTooLargeError: It would take too much memory.
        FrameError: It is no JSON.
    """
    nodes = 1 + sum(text.count(mark) for mark in (b",", b"[", b"{", b":"))
    # In a text with one wide character each of the others takes four bytes too.
    width = 1 if text.isascii() and b"\\u" not in text else 4
    if nodes * _BYTES_PER_NODE + width * len(text) > MAX_PARSED_BYTES:
        raise FrameTooLargeError(f"a message of {len(text)} bytes and about {nodes} values")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError, MemoryError) as error:
        raise FrameError(f"not a message: {type(error).__name__}") from error


def _refuse(name: str) -> Any:
    raise ValueError(name)


def send(fd: int, message: Any) -> None:
    """Writes one message.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    left = memoryview(pack(message))
    while left:
        left = left[os.write(fd, left) :]


def receive(fd: int, max_bytes: int = MAX_FRAME_BYTES) -> Any:
    """Returns the next message.

    Raises:
        EOFError: The other side is gone.
        FrameError: What came is no message.
    """
    (size,) = _HEADER.unpack(_read(fd, _HEADER.size))
    if size > max_bytes:
        raise FrameTooLargeError(f"a message of {size} bytes")
    return parse(_read(fd, size))


def _read(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, min(size - len(data), _CHUNK))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
