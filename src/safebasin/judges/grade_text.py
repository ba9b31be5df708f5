"""Reads a judge model's grade out of what it wrote, where that can mean one thing only.

Thought, prose, a code fence or a mark of the chat's end around the grade do not change it, nor do
Python's quotes, "1", 1.0, or true for 1 where only 0 and 1 are asked for. Two grades, a field that
is there twice, and an object that is broken leave the reply unread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from safebasin.thought import KNOWN, split

_AROUND = re.compile(r"```\w*|<\|[^|<>]{0,40}\|>|</?s>|[\s\ufeff\[\]]+")
_NAME = r"[\"'“”‘’]?\s*([A-Za-z_]\w{0,60})\s*[\"'“”‘’]?"
_VALUE = r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?(?![\w.])|true\b|false\b|[\"'“”‘’][^\"'“”‘’{}]*[\"'“”‘’])"
_PAIR = re.compile(rf"\s*{_NAME}\s*:\s*{_VALUE}\s*", re.IGNORECASE)
_WHOLE = re.compile(r"\s*(-?[0-9]{1,9})(?:\.0{1,9})?\s*")
_STATED = r"\W{0,9}?(-?[0-9]{1,9}(?:\.[0-9]{1,9})?|true\b|false\b)"
_QUOTES = "\"'“”‘’"
MOST_BRACES = 100
"""How many braces of a reply are tried as the beginning of an object."""


class UnreadError(ValueError):
    """A reply without one grade; the message says why."""


def without_thought(reply: str) -> str | None:
    """What follows the thought; None where the reply does not get out of it, or begins another."""
    found = split(reply)
    begun = any(opening in found.answer for opening, _ in KNOWN)
    return None if found.cut or begun else found.answer


def holds_grade(text: str, fields: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a text has what could be taken for a grade."""
    try:
        return bool(_grades(text, fields))
    except UnreadError:
        return any(name in text.lower() for name in fields) and "{" in text


def read_grade(
    reply: str,
    fields: Mapping[str, tuple[int, int]],
    *,
    alone: bool = False,
    cut: bool = False,
) -> dict[str, int]:
    """The whole number of each field.

    `fields` gives their ranges, both ends included. `alone` wants nothing beside the grade but
    what frames it; in a reply that was `cut` off, nothing may follow. Raises UnreadError with the
    reason.
    """
    answer = without_thought(reply)
    if answer is None:
        raise UnreadError("the reply does not get out of its thought")
    found = _grades(answer, fields)
    if not found:
        raise UnreadError("the reply holds no JSON object of the form that was asked for")
    if len(found) > 1:
        raise UnreadError(f"the reply holds {len(found)} grades")
    [(pairs, start, end)] = found
    before, after = (_AROUND.sub("", part) for part in (answer[:start], answer[end:]))
    if (alone and before) or ((alone or cut) and after):
        raise UnreadError("the reply holds more than the grade")
    numbers = _numbers(pairs, fields)
    for name, number in numbers.items():
        if any(other != number for other in _beside(f"{answer[:start]}\n{answer[end:]}", name)):
            raise UnreadError(f"the reply states {name} otherwise beside the grade")
    return numbers


def _beside(text: str, name: str) -> Iterator[float]:
    """What a text beside the grade gives a field, as the rest of a broken object does."""
    for found in re.finditer(rf"\b{re.escape(name)}\W{{0,9}}?[:=]{_STATED}", text, re.IGNORECASE):
        value = found[1].lower()
        yield float(value == "true") if value in ("true", "false") else float(value)


def _numbers(pairs: list[tuple[str, Any]], fields: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    named = [(_plain(name), value) for name, value in pairs]
    values = dict(named)
    twice = sorted({name for name, _ in named if sum(other == name for other, _ in named) > 1})
    if twice:
        raise UnreadError(f"the reply has the field {', '.join(twice)[:60]} twice")
    # A comment beside the grade leaves it as it is; another number might not.
    others = [value for name, value in named if name not in fields]
    if set(fields) - set(values) or not all(isinstance(one, str | None) for one in others):
        raise UnreadError("the reply has other fields than asked for")
    numbers = {}
    for name, (low, high) in fields.items():
        number = _whole_number(values[name], (low, high) == (0, 1))
        if number is None or not low <= number <= high:
            raise UnreadError(f"{name} is no whole number from {low} to {high}")
        numbers[name] = number
    return numbers


def _whole_number(value: Any, yes_or_no: bool) -> int | None:
    if isinstance(value, bool):
        return int(value) if yes_or_no else None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    found = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else int(found[1])


def _plain(name: str) -> str:
    return name.strip().casefold()


def _grades(
    text: str, fields: Mapping[str, tuple[int, int]]
) -> list[tuple[list[tuple[str, Any]], int, int]]:
    """Every object that has one of the fields, with where it starts and ends."""
    return [one for one in _objects(text) if any(_plain(name) in fields for name, _ in one[0])]


def _objects(text: str) -> Iterator[tuple[list[tuple[str, Any]], int, int]]:
    """The objects of a text that lie in no other, as pairs. Raises UnreadError for a broken one."""
    decoder = json.JSONDecoder(object_pairs_hook=list)
    at, tried = text.find("{"), 0
    while at >= 0:
        tried += 1
        if tried > MOST_BRACES:
            raise UnreadError("the reply holds too many braces")
        try:
            pairs, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            pairs, end = _loosely(text, at)
        yield pairs, at, end
        at = text.find("{", end)


def _loosely(text: str, at: int) -> tuple[list[tuple[str, Any]], int]:
    """An object of plain values in the quotes of Python or of a word processor."""
    pairs: list[tuple[str, Any]] = []
    position = at + 1
    while (found := _PAIR.match(text, position)) is not None:
        pairs.append((found[1], _loose_value(found[2])))
        position = found.end()
        if text[position : position + 1] != ",":
            break
        position += 1
    rest = text[position:]
    end = position + len(rest) - len(rest.lstrip())
    if not pairs or text[end : end + 1] != "}":
        raise UnreadError("the reply is not JSON")
    return pairs, end + 1


def _loose_value(typed: str) -> Any:
    if typed[0] in _QUOTES:
        return typed.strip(_QUOTES)
    if typed.lower() in ("true", "false"):
        return typed.lower() == "true"
    return float(typed)
