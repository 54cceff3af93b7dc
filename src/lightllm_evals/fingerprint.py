"""Short hashes of all that a score depends on: records, prompts, code, requests."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import io
import json
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

from lightllm_evals.records import Request, Sample, to_json

_DIGITS = 16
_PACKAGE = __name__.partition(".")[0]
# What runs an answer is held to its own tests; its version is in the run's versions.
_NOT_FOLLOWED = tuple(f"{_PACKAGE}.{name}" for name in ("sandbox", "pytest_", "errors", "records"))


def digest(data: Any) -> str:
    """Returns the hash of plain data; the order of a mapping's keys does not matter."""
    text = json.dumps(data, ensure_ascii=True, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_DIGITS]


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def sample_hash(sample: Sample) -> str:
    """Returns the hash of a record with its id and group."""
    return digest([sample.id, sample.group, sample.fields])


def prompt_hash(request: Request) -> str:
    """Returns the hash of what the model is to continue, and of the interface it goes through."""
    turns = [[turn.role, turn.content] for turn in request.messages]
    parts: list[Any] = [request.api, request.prompt, turns, list(request.token_ids)]
    if request.choices:
        parts += [
            [[choice.context, choice.continuation] for choice in request.choices],
            request.scoring,
            request.needs_greedy,
        ]
    return digest(parts)


def request_key(server: str, request: Request) -> str:
    """Returns the key of a completion: the hash of all that determines it.

    Args:
        server: Hash of the server's identity.
        request: What is asked; its id does not matter, its ``repeat`` does.
    """
    return digest([server, prompt_hash(request), to_json(request.params), request.repeat])


def digest_all(parts: Iterable[str]) -> str:
    """Returns the hash of many hashes, in their order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode("ascii") + b"\n")
    return whole.hexdigest()[:_DIGITS]


def code_hash(function: Callable[..., Any]) -> str:
    """Returns the hash of a function's source and of the functions and constants it names.

    Followed are names of this package and of the function's own. Comments, docstrings,
    decorators and blank lines do not count. The text is hashed, not byte code or a syntax tree:
    those change from one Python to the next, and a baseline outlives them.
    """
    seen: dict[str, str] = {}
    _collect(function, _top(function), seen)
    return digest(seen)


def _collect(function: Any, home: str, seen: dict[str, str]) -> None:
    while isinstance(function, functools.partial):
        seen.setdefault(f"partial {len(seen)}", str(_constant((function.args, function.keywords))))
        function = function.func
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    if _top(function) != home or home == _PACKAGE:
        # A user's own module is named differently from another root directory.
        name = f"{getattr(function, '__module__', '')}.{name}"
    if name in seen:
        return
    seen[name] = _source(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    closure = inspect.getclosurevars(function).nonlocals
    for label, value in _named(code, {**function.__globals__, **closure}, closure):
        if inspect.isfunction(value) or isinstance(value, functools.partial):
            if _is_followed(value, home):
                _collect(value, home, seen)
        elif inspect.isclass(value):
            if _is_followed(value, home):
                seen[f"class {value.__qualname__}"] = _source(value)
        elif (constant := _constant(value)) is not None:
            seen[f"{name}:{label}"] = constant


def _named(
    code: CodeType, scope: Mapping[str, Any], closure: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yields what the names of a function stand for, one level into modules."""
    names = sorted({*_names(code), *closure})
    for name in names:
        value = scope.get(name)
        if isinstance(value, ModuleType):
            if value.__name__.partition(".")[0] == _PACKAGE:
                yield from ((n, getattr(value, n)) for n in names if hasattr(value, n))
        elif name in scope:
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _top(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", "")).partition(".")[0]


def _is_followed(value: Any, home: str) -> bool:
    module = _top(value)
    if module == home != _PACKAGE:
        return True
    full = str(getattr(value, "__module__", ""))
    return module == _PACKAGE and not full.startswith(_NOT_FOLLOWED)


def _constant(value: Any) -> str | None:
    """Returns a constant as text, the same in every process; None for anything else."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value)
    if isinstance(value, re.Pattern):
        return f"{value.pattern!r} {value.flags}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(str(_constant(item)) for item in value)}]"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(str(_constant(item)) for item in value))}}}"
    if isinstance(value, Mapping):
        pairs = sorted((str(_constant(k)), str(_constant(v))) for k, v in value.items())
        return repr(pairs)
    return None


def _source(function: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return repr(getattr(function, "__qualname__", type(function).__qualname__))
    try:
        return _bare(text)
    except (SyntaxError, tokenize.TokenError):
        # A lambda's lines need not be a statement of their own.
        return text.strip()


def _bare(text: str) -> str:
    """Returns a definition without comments, docstrings, decorators and blank lines."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    tree = ast.parse(text)
    dropped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.decorator_list:
                dropped.update(range(node.decorator_list[0].lineno, node.lineno))
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(
                getattr(first.value, "value", None), str
            ):
                dropped.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    kept = [line.rstrip() for row, line in enumerate(lines, 1) if row not in dropped]
    return "\n".join(line for line in kept if line)
