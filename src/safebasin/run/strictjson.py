"""JSON without its traps: no NaN, no infinity, no name twice, no endless nesting, ASCII only.

The standard parser lets `NaN`, `1e999` and repeated names through; a record of a measurement must
not. Everything outside ASCII is escaped, so lone surrogates, U+2028 and NUL survive a round trip.
(A high surrogate directly before a low one is their one character, in JSON as in UTF-16.)
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from safebasin.terminal import shorten

DEEPEST = 100
"""Lists and objects within one another; what we write has about ten."""
MOST_DIGITS = 300
"""Digits of a whole number: what has more is no float."""


def dumps(value: object, *, indent: int | None = None) -> str:
    """The value as JSON; compact unless an indent is given.

    Raises:
        ValueError: A number is not finite.
        TypeError: Something is not a JSON value.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, allow_nan=False, indent=indent, separators=separators)


def loads(data: bytes) -> Any:
    """The value that the bytes spell.

    Raises:
        ValueError: The bytes are not ASCII, or not JSON in the strict sense.
    """
    text = data.decode("ascii")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except NumberError as error:
        where = place_of_number(text)
        raise ValueError(f"{error}, at {where}" if where else str(error)) from None
    # Only many brackets can be many within one another; a record's line has few.
    if text.count("[") + text.count("{") > DEEPEST and is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


class NumberError(ValueError):
    """A number that is none in a measurement."""


class _Bad:
    """Stands for such a number while its place is looked for."""


def place_of_number(text: str, *, constants: bool = True) -> str:
    """Where the first number is that is too large or, with `constants`, not finite.

    "" for nowhere, and where the text is no JSON.
    """

    def read(number: str) -> object:
        return _Bad() if len(number) > MOST_DIGITS else 0

    def read_float(number: str) -> object:
        return 0.0 if math.isfinite(float(number)) else _Bad()

    try:
        value = json.loads(
            text,
            parse_int=read,
            parse_float=read_float if constants else None,
            parse_constant=(lambda _: _Bad()) if constants else None,
        )
    except (ValueError, RecursionError):
        return ""
    pending: list[tuple[tuple[str, ...], object]] = [((), value)]
    while pending:
        path, one = pending.pop()
        if isinstance(one, _Bad):
            return shorten(".".join(path))
        inner = (
            one.items()
            if isinstance(one, dict)
            else enumerate(one)
            if isinstance(one, list)
            else ()
        )
        pending.extend(((*path, str(step)), item) for step, item in inner)
    return ""


def is_deep(value: object, deepest: int = DEEPEST) -> bool:
    """Whether more lists and objects than `deepest` lie within one another."""
    level = [value]
    for _ in range(deepest + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def whole_number(text: str) -> int:
    """The whole number that a JSON file spells. Raises NumberError for one that no float holds."""
    if len(text) > MOST_DIGITS:
        raise NumberError("a number is too large")
    return int(text)


_TOO_DEEP = "it is nested too deeply"


def _refuse_constant(text: str) -> NoReturn:
    raise NumberError(f"{text} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NumberError("a number is too large")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return mapping


# Made once: a record has a line for every answer, and a decoder costs as much as a line.
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=whole_number,
    object_pairs_hook=_distinct,
)
