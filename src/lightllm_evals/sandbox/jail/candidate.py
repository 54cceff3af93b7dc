"""The untrusted side of one sample: from exec() on, the program owns this process.

So nothing here is a secret or a verdict: it holds the program, runs it, and sends answers.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import types
from typing import Any

from . import codec, frames

PROGRAM_FD = 10
CALLS_FD = 11
ANSWERS_FD = 12

MAX_PROGRAM_BYTES = 64 << 20
_MAX_MESSAGE = 300
# Packed beforehand: with no memory left, nothing can be built.
_OUT_OF_MEMORY = frames.pack({"e": ["MemoryError", "Exception"], "msg": ""})


def main() -> None:
    """Runs one program and answers calls of its functions until nobody asks any more."""
    request = frames.receive(PROGRAM_FD, MAX_PROGRAM_BYTES)
    sys.stdin = io.StringIO("")
    module = types.ModuleType("candidate")
    # Data classes and typing look a class's module up by name.
    sys.modules["candidate"] = module
    functions: list[Any] = []

    def register(function: Any) -> int:
        functions.append(function)
        return len(functions) - 1

    loaded = _attempt(lambda: _load(module, request, register))
    _send(loaded)
    while "e" not in loaded:
        try:
            call = frames.receive(CALLS_FD)
        except EOFError:
            return
        _send(_attempt(functools.partial(_answer, functions, call, register)))


def _attempt(action: Any) -> dict[str, Any]:
    """Returns what the action returns, or the exception that ended it, as a message."""
    try:
        answer: dict[str, Any] = action()
    except BaseException as error:  # noqa: BLE001  # the boundary to the program
        return _described(error)
    return answer


def _described(error: BaseException) -> dict[str, Any]:
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    try:
        text = str(error)[:_MAX_MESSAGE]
    except BaseException:  # noqa: BLE001  # __str__ belongs to the program
        text = "(no text)"
    return {"e": names, "msg": text, "type": type(error).__name__[:100]}


def _load(module: types.ModuleType, request: Any, register: codec.Register) -> dict[str, Any]:
    namespace = vars(module)
    exec(compile(request["program"], "<candidate>", "exec"), namespace)  # noqa: S102  # its job
    if request["nonce"]:
        exec(compile(request["tests"], "<tests>", "exec"), namespace)  # noqa: S102  # mode shared
        return {"shared": request["nonce"]}
    names = [n for n in request["names"] if n in namespace]
    return {"names": {n: _encoded(namespace[n], register) for n in names}}


def _answer(functions: list[Any], call: Any, register: codec.Register) -> dict[str, Any]:
    arguments = [codec.decode(a) for a in call["a"]]
    keywords = {name: codec.decode(v) for name, v in call["k"].items()}
    result = functions[call["f"]](*arguments, **keywords)
    answer = {"r": _encoded(result, register)}
    after = [_encoded(a, None) for a in arguments]
    if after != call["a"]:
        answer["m"] = after
    return answer


def _encoded(value: Any, register: codec.Register | None) -> Any:
    try:
        return codec.encode(value, register)
    except (codec.CodecError, RecursionError) as error:
        return {"x": f"answer that cannot travel: {error}"[:200]}


def _send(message: dict[str, Any]) -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    try:
        frames.send(ANSWERS_FD, message)
    except MemoryError:
        os.write(ANSWERS_FD, _OUT_OF_MEMORY)
