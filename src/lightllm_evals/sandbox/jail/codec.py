"""Plain data between candidate and checker: values as JSON with tags, rebuilt as exact builtins.

A value is null, a boolean, a number, a string, a list of values, or an object with one key, the
tag. Nothing here runs code that came over the wire: no pickle, no class by name.
"""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import fractions
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_DEPTH = 200
MAX_ITEMS = 1_000_000
_JSON_INT_LIMIT = 1 << 53
_MAX_DECIMAL_CHARACTERS = 10_000

Register = Callable[[Any], int]
MakeFunction = Callable[[int], Any]


class CodecError(Exception):
    """The value cannot travel, or what came is no value."""


class Opaque:
    """Stands for an object that cannot travel; equal to nothing but itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<opaque {self.name}>"


def encode(value: Any, register: Register | None = None) -> Any:
    """Returns the value as JSON data; functions become numbers that ``register`` hands out.

    Raises:
        CodecError: It is nested deeper than ``MAX_DEPTH`` or has too many items.
    """
    return _Encoder(register).encode(value, 0)


class _Encoder:
    def __init__(self, register: Register | None) -> None:
        self._register = register

    def encode(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -_JSON_INT_LIMIT < value < _JSON_INT_LIMIT else {"i": hex(value)}
        if kind is float:
            is_finite = value - value == 0
            return value if is_finite else {"f": repr(value)}
        if depth >= MAX_DEPTH:
            raise CodecError(f"nested deeper than {MAX_DEPTH}")
        if kind is list:
            return self._items(value, depth)
        tagged = _ENCODERS.get(kind)
        if tagged is not None:
            return tagged(self, value, depth)
        return self._other(value, depth)

    def _items(self, values: Iterable[Any], depth: int) -> list[Any]:
        return [self.encode(v, depth + 1) for v in values]

    def _pairs(self, value: dict[Any, Any], depth: int) -> list[Any]:
        return [
            [self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in dict.items(value)
        ]

    def _other(self, value: Any, depth: int) -> Any:
        """Subclasses as their base, iterators as their items, the rest without its content."""
        if isinstance(value, type):
            return self._function(value)
        for base, convert in _BASES:
            if isinstance(value, base):
                return self.encode(convert(value), depth)
        if "numpy" in sys.modules and type(value).__module__ == "numpy":
            return self._numpy(value, depth)
        if hasattr(type(value), "__next__"):
            return {"it": self._materialised(value, depth)}
        return self._function(value)

    def _materialised(self, values: Iterator[Any], depth: int) -> list[Any]:
        items: list[Any] = []
        for value in values:
            if len(items) >= MAX_ITEMS:
                raise CodecError(f"an iterator of more than {MAX_ITEMS} items")
            items.append(self.encode(value, depth + 1))
        return items

    def _numpy(self, value: Any, depth: int) -> Any:
        if hasattr(value, "tolist") and hasattr(value, "dtype"):
            if getattr(value, "ndim", 0) == 0:
                return self.encode(value.item(), depth + 1)
            return {"nd": [value.dtype.str, self.encode(value.tolist(), depth + 1)]}
        return self._function(value)

    def _function(self, value: Any) -> Any:
        if self._register is not None and callable(value):
            return {"fn": self._register(value)}
        kind = type(value)
        return {"x": f"{kind.__module__}.{kind.__qualname__}"[:200]}


def _items_as(tag: str) -> Callable[[_Encoder, Any, int], Any]:
    return lambda encoder, value, depth: {tag: encoder._items(value, depth)}


def _pairs_as(tag: str) -> Callable[[_Encoder, Any, int], Any]:
    return lambda encoder, value, depth: {tag: encoder._pairs(value, depth)}


def _base64_as(tag: str) -> Callable[[_Encoder, Any, int], Any]:
    return lambda _encoder, value, _depth: {tag: base64.b64encode(value).decode()}


def _iso_as(tag: str) -> Callable[[_Encoder, Any, int], Any]:
    return lambda _encoder, value, _depth: {tag: value.isoformat()}


_ENCODERS: dict[type, Callable[[_Encoder, Any, int], Any]] = {
    tuple: _items_as("t"),
    set: _items_as("s"),
    frozenset: _items_as("fs"),
    collections.deque: _items_as("q"),
    dict: _pairs_as("d"),
    collections.Counter: _pairs_as("C"),
    collections.OrderedDict: _pairs_as("O"),
    type({}.keys()): _items_as("dk"),
    type({}.values()): _items_as("dv"),
    type({}.items()): lambda encoder, value, depth: {"di": encoder._pairs(dict(value), depth)},
    bytes: _base64_as("b"),
    bytearray: _base64_as("ba"),
    complex: lambda encoder, v, d: {"c": [encoder.encode(v.real, d), encoder.encode(v.imag, d)]},
    range: lambda encoder, v, depth: {"r": encoder._items((v.start, v.stop, v.step), depth)},
    slice: lambda encoder, v, depth: {"sl": encoder._items((v.start, v.stop, v.step), depth)},
    type(Ellipsis): lambda _encoder, _value, _depth: {"e": 0},
    decimal.Decimal: lambda _encoder, value, _depth: {"D": str(value)},
    fractions.Fraction: lambda encoder, v, d: {
        "F": encoder._items((v.numerator, v.denominator), d)
    },
    datetime.timedelta: lambda _encoder, v, _depth: {"td": [v.days, v.seconds, v.microseconds]},
    datetime.date: _iso_as("date"),
    datetime.datetime: _iso_as("datetime"),
    datetime.time: _iso_as("time"),
}

_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__index__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (collections.deque, lambda value: collections.deque(collections.deque.__iter__(value))),
)


def decode(data: Any, make_function: MakeFunction | None = None) -> Any:
    """Returns the value that ``data`` stands for, of exact builtin types.

    Raises:
        CodecError: It stands for none, whatever it is.
    """
    try:
        return _Decoder(make_function).decode(data, 0)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise CodecError(f"no value: {type(error).__name__}") from error


class _Decoder:
    def __init__(self, make_function: MakeFunction | None) -> None:
        self._make_function = make_function

    def decode(self, data: Any, depth: int) -> Any:
        kind = type(data)
        if data is None or kind is bool or kind is str or kind is int or kind is float:
            return data
        if depth > MAX_DEPTH + 2:
            raise CodecError(f"nested deeper than {MAX_DEPTH}")
        if kind is list:
            return self._items(data, depth)
        if kind is not dict or len(data) != 1:
            raise CodecError("neither a value nor a tag")
        ((tag, content),) = data.items()
        if tag == "fn":
            return self._function(content)
        return _DECODERS[tag](self, content, depth)

    def _items(self, data: Any, depth: int) -> list[Any]:
        if type(data) is not list:
            raise CodecError("not a list of values")
        return [self.decode(item, depth + 1) for item in data]

    def _pairs(self, data: Any, depth: int) -> list[tuple[Any, Any]]:
        return [(self.decode(k, depth + 1), self.decode(v, depth + 1)) for k, v in data]

    def _function(self, index: Any) -> Any:
        if type(index) is not int or self._make_function is None:
            raise CodecError("a function where none can be")
        return self._make_function(index)


def _from_items(build: Callable[[list[Any]], Any]) -> Callable[[_Decoder, Any, int], Any]:
    return lambda decoder, data, depth: build(decoder._items(data, depth))


def _from_pairs(
    build: Callable[[list[tuple[Any, Any]]], Any],
) -> Callable[[_Decoder, Any, int], Any]:
    return lambda decoder, data, depth: build(decoder._pairs(data, depth))


def _from_text(build: Callable[[str], Any]) -> Callable[[_Decoder, Any, int], Any]:
    def decode_text(_decoder: _Decoder, data: Any, _depth: int) -> Any:
        if type(data) is not str:
            raise CodecError("not a text")
        return build(data)

    return decode_text


def _bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _decimal_of(text: str) -> decimal.Decimal:
    if len(text) > _MAX_DECIMAL_CHARACTERS:
        raise CodecError(f"a decimal of {len(text)} characters")
    return decimal.Decimal(text)


def _float_of(text: str) -> float:
    return {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}[text]


def _array_of(decoder: _Decoder, data: Any, depth: int) -> Any:
    dtype, items = data
    if type(dtype) is not str or dtype[1:2] not in {"b", "i", "u", "f", "c", "U"}:
        raise CodecError("an array of no plain kind")
    values = decoder.decode(items, depth + 1)
    numpy = sys.modules.get("numpy")
    return Opaque("numpy.ndarray") if numpy is None else numpy.array(values, dtype=dtype)


_DECODERS: dict[str, Callable[[_Decoder, Any, int], Any]] = {
    "i": _from_text(lambda text: int(text, 16)),
    "f": _from_text(_float_of),
    "t": _from_items(tuple),
    "s": _from_items(set),
    "fs": _from_items(frozenset),
    "q": _from_items(collections.deque),
    "it": _from_items(iter),
    "d": _from_pairs(dict),
    "C": _from_pairs(lambda pairs: collections.Counter(dict(pairs))),
    "O": _from_pairs(collections.OrderedDict),
    "dk": _from_items(lambda items: dict.fromkeys(items).keys()),
    "dv": _from_items(lambda items: dict(enumerate(items)).values()),
    "di": _from_pairs(lambda pairs: dict(pairs).items()),
    "b": _from_text(_bytes_of),
    "ba": _from_text(lambda text: bytearray(_bytes_of(text))),
    "c": _from_items(lambda parts: complex(*parts)),
    "r": _from_items(lambda parts: range(*parts)),
    "sl": _from_items(lambda parts: slice(*parts)),
    "e": lambda _decoder, _data, _depth: ...,
    "D": _from_text(_decimal_of),
    "F": _from_items(lambda parts: fractions.Fraction(*parts)),
    "td": _from_items(lambda parts: datetime.timedelta(*parts)),
    "date": _from_text(datetime.date.fromisoformat),
    "datetime": _from_text(datetime.datetime.fromisoformat),
    "time": _from_text(datetime.time.fromisoformat),
    "nd": _array_of,
    "x": _from_text(lambda text: Opaque(text[:200])),
}
