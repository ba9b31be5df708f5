"""JSON without its traps: no NaN, no infinity, no name twice, ASCII only.

The standard parser lets `NaN`, `1e999` and repeated names through; a record of a measurement must
not. Everything outside ASCII is escaped, so lone surrogates, U+2028 and NUL survive a round trip.
(A high surrogate directly before a low one is their one character, in JSON as in UTF-16.)
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


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
    try:
        return _DECODER.decode(data.decode("ascii"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return mapping


# Made once: a record has a line for every answer, and a decoder costs as much as a line.
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_distinct
)
