"""Plain data between candidate and checker: exact there and back, and no input does harm."""

from __future__ import annotations

import datetime
import json
import os
import threading
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightllm_evals.sandbox.jail import codec, frames

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
)
_HASHABLE = st.recursive(
    _SCALARS, lambda s: st.lists(s).map(tuple) | st.frozensets(s), max_leaves=9
)
_VALUES = st.recursive(
    _HASHABLE,
    lambda s: (
        st.lists(s)
        | st.lists(s).map(tuple)
        | st.sets(_HASHABLE)
        | st.dictionaries(_HASHABLE, s)
        | st.dictionaries(_HASHABLE, s).map(OrderedDict)
        | st.lists(s).map(deque)
        | st.dictionaries(_HASHABLE, st.integers()).map(Counter)
        | st.binary().map(bytearray)
    ),
    max_leaves=30,
)
_TAGS = [*codec._DECODERS, "fn"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda j: (
        st.lists(j)
        | st.dictionaries(st.text(), j, max_size=3)
        | st.builds(lambda tag, content: {tag: content}, st.sampled_from(_TAGS), j)
        | st.builds(
            lambda tag, pairs: {tag: pairs},
            st.sampled_from(_TAGS),
            st.lists(st.lists(j, min_size=2, max_size=2)),
        )
    ),
    max_leaves=40,
)


def _kinds(value: Any) -> Any:
    """The types of a value and of all in it, in order."""
    if isinstance(value, dict):
        return type(value), [(_kinds(k), _kinds(v)) for k, v in value.items()]
    if isinstance(value, (list, tuple, deque)):
        return type(value), [_kinds(v) for v in value]
    return type(value)


@given(_VALUES)
def test_plain_values_arrive_equal_and_of_the_same_types(value: Any) -> None:
    arrived = codec.decode(json.loads(json.dumps(codec.encode(value))))
    assert arrived == value
    assert _kinds(arrived) == _kinds(value)


@given(_JSON)
@settings(max_examples=400)
def test_any_json_decodes_to_plain_data_or_is_refused(data: Any) -> None:
    try:
        value = codec.decode(data, lambda index: index)
    except codec.CodecError:
        return
    assert _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Whether comparing the value can run no code but that of builtins."""
    module = type(value).__module__
    if type(value) is codec.Opaque:
        return True
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return all(map(_is_plain, value))
    return module in {"builtins", "collections", "datetime", "decimal", "fractions"}


@given(st.binary(max_size=2000))
def test_any_bytes_parse_to_json_or_are_refused(text: bytes) -> None:
    try:
        message = frames.parse(text)
    except frames.FrameError:
        return
    assert message == json.loads(text)


@given(st.binary(max_size=300))
def test_any_stream_ends_in_a_message_an_end_or_a_refusal(stream: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, stream)
    os.close(writer)
    try:
        for _ in range(len(stream) + 1):
            frames.receive(reader)
    except (EOFError, frames.FrameError):
        return
    finally:
        os.close(reader)
    raise AssertionError("read more messages than there were bytes")


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"t":' * 100_000 + b"0" + b"}" * 100_000,
        b"[" + b"[]," * 3_000_000 + b"0]",
        b'"\\ud83d' + b"x" * (25 << 20) + b'"',
        b"NaN",
        b"Infinity",
        b"1" * 5000,
        b"\xff",
        b"",
    ],
    ids=["lists", "tags", "dense", "wide", "nan", "infinity", "digits", "utf-8", "empty"],
)
def test_harmful_texts_are_refused(text: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.parse(text)


def test_a_frame_longer_than_allowed_is_refused_before_it_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\xff\xff\xff\xff")
    with pytest.raises(frames.FrameTooLargeError):
        frames.receive(reader)
    os.close(writer)
    os.close(reader)


def test_large_messages_travel_whole() -> None:
    reader, writer = os.pipe()
    message = {"r": list(range(100_000))}
    sender = threading.Thread(target=frames.send, args=(writer, message))
    sender.start()
    assert frames.receive(reader) == message
    sender.join()
    os.close(writer)
    os.close(reader)


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_nesting_is_bounded_on_both_sides() -> None:
    allowed = _nested(codec.MAX_DEPTH)
    assert codec.decode(codec.encode(allowed)) == allowed
    with pytest.raises(codec.CodecError):
        codec.encode(_nested(codec.MAX_DEPTH + 2))
    with pytest.raises(codec.CodecError):
        codec.decode(_nested(codec.MAX_DEPTH + 10))


class _AlwaysEqual(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


def test_subclasses_arrive_as_their_base() -> None:
    arrived = codec.decode(codec.encode(_AlwaysEqual([1])))
    assert type(arrived) is list
    assert arrived == [1]
    assert arrived != [2]


def test_other_objects_arrive_equal_to_nothing() -> None:
    arrived: object = codec.decode(codec.encode(_Anything()))
    assert type(arrived) is codec.Opaque
    assert arrived not in (1, codec.Opaque(arrived.name))
    assert arrived != codec.decode(codec.encode(_Anything()))


def test_functions_travel_as_numbers_and_only_where_both_sides_agree() -> None:
    functions: list[Any] = []

    def register(function: Any) -> int:
        functions.append(function)
        return len(functions) - 1

    assert codec.encode(len, register) == {"fn": 0}
    assert codec.decode({"fn": 0}, functions.__getitem__) is len
    with pytest.raises(codec.CodecError):
        codec.decode({"fn": 0})


def test_iterators_arrive_with_their_items_and_endless_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "MAX_ITEMS", 100)
    assert list(codec.decode(codec.encode(iter([1, 2])))) == [1, 2]
    with pytest.raises(codec.CodecError):
        codec.encode(iter(int, 1))


def test_numbers_keep_their_exact_value() -> None:
    for value in (0.1, -0.0, 1e308, 2**53, -(2**4000), float("inf"), Decimal("1.10")):
        arrived = codec.decode(json.loads(json.dumps(codec.encode(value))))
        assert repr(arrived) == repr(value)
    assert codec.decode(codec.encode(Fraction(1, 3))) == Fraction(1, 3)
    assert codec.decode(codec.encode(datetime.date(2024, 2, 29))) == datetime.date(2024, 2, 29)
