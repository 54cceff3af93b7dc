"""The trusted side of one sample: holds the tests, asks the candidate, and gives the verdict.

The tests come from a data set, so it is jailed too; the candidate cannot reach anything of it
but the two pipes of plain data.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from typing import Any

from . import codec, frames

TESTS_FD = 10
VERDICT_FD = 11
ANSWERS_FD = 12
CALLS_FD = 13

MAX_TESTS_BYTES = 256 << 20
_MAX_DETAIL = 2000

# What a candidate raised is raised again by name, and only from this list.
_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class CandidateGoneError(BaseException):
    """The candidate gives no answers any more; no ``except Exception`` in a test hides it."""


class Remote:
    """The candidate's functions, called over the pipes.

    Attributes:
        calls: How many calls were asked.
        gone: Why no more answers come, "" while they do. It stays, whatever a test catches.
        status: The word for that in the verdict.
        raised: The last exception that the candidate raised.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.gone = ""
        self.status = "crashed"
        self.raised: BaseException | None = None

    def receive(self) -> dict[str, Any]:
        """Returns the next message, whatever it says.

        Raises:
            CandidateGoneError: None came, or none that is a message.
        """
        try:
            message = frames.receive(ANSWERS_FD)
        except EOFError:
            raise self._lost("crashed", "the process ended before it answered") from None
        except frames.FrameTooLargeError as error:
            raise self._lost("output", f"answer too large: {error}") from None
        except (frames.FrameError, MemoryError) as error:
            raise self._lost("crashed", f"{error}") from None
        if type(message) is not dict:
            raise self._lost("crashed", "not a message")
        return message

    def call(self, index: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Returns the candidate's answer, or raises its exception."""
        if self.gone:
            raise CandidateGoneError(self.gone)
        self.calls += 1
        request = {
            "f": index,
            "a": [codec.encode(a) for a in arguments],
            "k": {name: codec.encode(v) for name, v in keywords.items()},
        }
        try:
            frames.send(CALLS_FD, request)
        except BrokenPipeError:
            raise self._lost("crashed", "the process ended before it was asked") from None
        answer = self.receive()
        if "e" in answer:
            raise self.exception(answer)
        try:
            result = codec.decode(answer.get("r"), self.function)
            changed = [codec.decode(a) for a in answer.get("m", ())]
        except (codec.CodecError, TypeError) as error:
            raise self._lost("crashed", f"not an answer: {error}") from None
        for before, after in zip(arguments, changed):  # noqa: B905  # as many as were sent back
            _change_in_place(before, after)
        return result

    def function(self, index: int) -> Any:
        """Returns a function that stands for one of the candidate's."""

        def candidate(*arguments: Any, **keywords: Any) -> Any:
            return self.call(index, arguments, keywords)

        return candidate

    def exception(self, answer: dict[str, Any]) -> BaseException:
        """Returns the candidate's exception as a builtin one, or as the candidate's end."""
        names, text = answer.get("e"), str(answer.get("msg"))[:_MAX_DETAIL]
        known = [n for n in names if type(n) is str] if type(names) is list else []
        kind = next((_EXCEPTIONS[n] for n in known if n in _EXCEPTIONS), None)
        if kind is None:
            return self._lost("failed", f"{answer.get('type')}: {text}")
        try:
            self.raised = kind(text)
        except TypeError:
            # UnicodeDecodeError and others want more than a text.
            self.raised = _nearest_plain(kind)(text)
        return self.raised

    def _lost(self, status: str, reason: str) -> CandidateGoneError:
        self.gone, self.status = reason, status
        return CandidateGoneError(reason)


def _nearest_plain(kind: type[Exception]) -> type[Exception]:
    return ValueError if issubclass(kind, ValueError) else Exception


def _change_in_place(before: Any, after: Any) -> None:
    """Gives an argument the content that the candidate left in it, as a call in-process would."""
    if type(before) is not type(after):
        return
    if type(before) in {list, bytearray}:
        before[:] = after
    elif type(before) in {dict, set}:
        before.clear()
        before.update(after)
    elif hasattr(before, "appendleft"):
        before.clear()
        before.extend(after)


def main() -> None:
    """Judges one candidate and writes one verdict."""
    request = frames.receive(TESTS_FD, MAX_TESTS_BYTES)
    # Tests may recurse; the codec needs room below them.
    sys.setrecursionlimit(10_000)
    remote = Remote()
    try:
        status, detail = _judge(remote, request)
    except CandidateGoneError:
        status, detail = remote.status, remote.gone
    verdict = {"status": status, "detail": detail[:_MAX_DETAIL], "calls": remote.calls}
    frames.send(VERDICT_FD, verdict)


def _judge(remote: Remote, request: Any) -> tuple[str, str]:
    loaded = remote.receive()
    if "e" in loaded:
        error = remote.exception(loaded)
        name = str(loaded.get("type"))[:100]
        when = "in the shared process" if request["nonce"] else "while loading"
        return _word(remote, error), f"{name}: {str(error)[:_MAX_DETAIL]} ({when})"
    if request["nonce"]:
        is_passed = loaded.get("shared") == request["nonce"]
        return ("passed", "") if is_passed else ("crashed", "not a message")
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    try:
        exec(compile(request["prelude"], "<prelude>", "exec"), vars(module))  # noqa: S102
        tests = compile(request["tests"], "<tests>", "exec")
    except Exception as error:  # noqa: BLE001  # whatever trusted text does, it is ours to report
        return "harness_error", f"prelude or tests do not run: {type(error).__name__}: {error}"
    vars(module).update(_answers_by_name(remote, loaded.get("names"), request["names"]))
    return _run(remote, tests, module, request["tests"])


def _is_function(answer: Any) -> bool:
    return type(answer) is dict and "fn" in answer


def _answers_by_name(remote: Remote, sent: Any, wanted: list[str]) -> dict[str, Any]:
    """Returns what the candidate defined, of the names that were asked for."""
    if type(sent) is not dict:
        raise remote._lost("crashed", "not a message")
    found: dict[str, Any] = {}
    for name in wanted:
        if name in sys.stdlib_module_names and not _is_function(sent.get(name)):
            # Tests that use a module which only the program imports get the real one.
            found[name] = importlib.import_module(name)
        elif name in sent:
            try:
                found[name] = codec.decode(sent[name], remote.function)
            except codec.CodecError as error:
                raise remote._lost("crashed", f"not an answer: {error}") from None
    return found


def _run(
    remote: Remote, tests: types.CodeType, module: types.ModuleType, source: str
) -> tuple[str, str]:
    try:
        exec(tests, vars(module))  # noqa: S102  # the tests, in their own jail
    except CandidateGoneError:
        raise
    except BaseException as error:  # noqa: BLE001  # a test may fail in any way
        if remote.gone:
            raise CandidateGoneError from None
        return _word(remote, error), _described(error, source)
    if remote.gone:
        return remote.status, remote.gone
    if remote.calls == 0:
        return "failed", "the tests never called the candidate"
    return "passed", ""


def _word(remote: Remote, error: BaseException) -> str:
    is_from_candidate = error is remote.raised
    return "memory" if is_from_candidate and isinstance(error, MemoryError) else "failed"


def _described(error: BaseException, source: str) -> str:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.splitlines()
    quoted = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return f"{type(error).__name__}: {str(error)[:300]} (test line {line}: {quoted[:150]})"
