"""Types of JSON fields as pydantic takes and refuses them, since LightLLM's ``/v1/*`` use it.

Only its lax mode and only the types that those forms have; error types and messages are from
https://docs.pydantic.dev/latest/errors/validation_errors/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Location: TypeAlias = tuple[str | int, ...]
Problem: TypeAlias = dict[str, Any]


class FieldError(Exception):
    """A value is refused; carries one problem for each way in which it might have been valid."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


Parser: TypeAlias = Callable[[Any, Location], Any]


def problem(kind: str, where: Location, message: str, value: Any, **extra: Any) -> Problem:
    """Returns one entry of a 422's ``detail``."""
    return {"type": kind, "loc": ["body", *where], "msg": message, "input": value, **extra}


def _refused(kind: str, where: Location, message: str, value: Any) -> FieldError:
    return FieldError([problem(kind, where, message, value)])


def text(value: Any, where: Location) -> str:
    """Takes a string."""
    if not isinstance(value, str):
        raise _refused("string_type", where, "Input should be a valid string", value)
    return value


def integer(value: Any, where: Location) -> int:
    """Takes an integer, a whole float or a numeral."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        message = "Input should be a valid integer, got a number with a fractional part"
        raise _refused("int_from_float", where, message, value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError as error:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise _refused("int_parsing", where, message, value) from error
    raise _refused("int_type", where, "Input should be a valid integer", value)


def number(value: Any, where: Location) -> float:
    """Takes a number or a numeral."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            message = "Input should be a valid number, unable to parse string as a number"
            raise _refused("float_parsing", where, message, value) from error
    raise _refused("float_type", where, "Input should be a valid number", value)


_TRUE = {"1", "true", "t", "yes", "y", "on"}
_FALSE = {"0", "false", "f", "no", "n", "off"}


def boolean(value: Any, where: Location) -> bool:
    """Takes a boolean, 0, 1 or one of the usual words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | str):
        word = str(int(value)) if value in {0, 1} else str(value).lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        message = "Input should be a valid boolean, unable to interpret input"
        raise _refused("bool_parsing", where, message, value)
    raise _refused("bool_type", where, "Input should be a valid boolean", value)


def anything(value: Any, _where: Location) -> Any:
    """Takes any JSON."""
    return value


def mapping(value: Any, where: Location) -> dict[str, Any]:
    """Takes an object."""
    if not isinstance(value, dict):
        raise _refused("dict_type", where, "Input should be a valid dictionary", value)
    return value


def optional(parser: Parser) -> Parser:
    """Returns a parser that also takes null."""
    return lambda value, where: None if value is None else parser(value, where)


def list_of(parser: Parser) -> Parser:
    """Returns a parser of lists; all bad items are reported."""

    def parse(value: Any, where: Location) -> list[Any]:
        if not isinstance(value, list):
            raise _refused("list_type", where, "Input should be a valid list", value)
        items, problems = [], []
        for index, item in enumerate(value):
            try:
                items.append(parser(item, (*where, index)))
            except FieldError as error:
                problems += error.problems
        if problems:
            raise FieldError(problems)
        return items

    return parse


def union(parsers: Mapping[str, Parser]) -> Parser:
    """Returns a parser that takes what one of the parsers takes; keys are pydantic's names."""

    def parse(value: Any, where: Location) -> Any:
        problems: list[Problem] = []
        for name, parser in parsers.items():
            try:
                return parser(value, (*where, name))
            except FieldError as error:
                problems += error.problems
        raise FieldError(problems)

    return parse
