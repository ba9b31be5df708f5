"""The rows of a record: a point, an answer, a verdict and a measured item as JSON, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, TypeVar, cast, get_args

from safebasin.exchange import (
    DETAILS,
    OUTCOMES,
    Detail,
    Exchange,
    Finish,
    Outcome,
    Verdict,
)
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.terminal import shorten
from safebasin.thought import Marks

Kind = Literal["answers", "verdicts", "capability"]
JSON = dict[str, Any]
T = TypeVar("T")


_EXCHANGE_ORDER = tuple(field.name for field in fields(Exchange))
_VERDICT_ORDER = tuple(field.name for field in fields(Verdict))
_EXCHANGE = frozenset(_EXCHANGE_ORDER)
_VERDICT = frozenset({"prompt_id", *(field.name for field in fields(Verdict))})
_ITEM = frozenset(field.name for field in fields(Item))


def point_to_json(point: Point) -> list[list[object]]:
    """The point as pairs of a direction's name and its exact coefficient."""
    return [[name, value] for name, value in point.terms]


def point_from_json(value: object) -> Point:
    """The point that `point_to_json` wrote.

    Raises:
        ValueError: It is no such list, or not in its one normal form.
    """
    if not isinstance(value, list):
        raise ValueError("the point is not a list")
    terms: dict[str, float] = {}
    for pair in value:
        match pair:
            case [str(name), float(coefficient)]:
                terms[name] = coefficient
            case _:
                raise ValueError("a term of the point is not a name and a number")
    point = Point.of(terms)
    if point_to_json(point) != value:
        raise ValueError("the terms of the point are not distinct, sorted and non-zero")
    return point


def exchange_to_json(exchange: Exchange) -> JSON:
    """The exchange without the fields that say nothing."""
    row: JSON = {name: getattr(exchange, name) for name in _EXCHANGE_ORDER}
    for name in ("origin_logprobs", "marks"):
        value = row.pop(name)
        if value is not None:
            row[name] = list(value)
    return row


def exchange_from_json(row: Mapping[str, object]) -> Exchange:
    """The exchange of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _EXCHANGE)
    return Exchange(
        prompt_id=typed_field(row, "prompt_id", str),
        prompt=typed_field(row, "prompt", str),
        response=typed_field(row, "response", str),
        finish=cast(Finish, known_choice(row, "finish", get_args(Finish))),
        prompt_tokens=typed_field(row, "prompt_tokens", int),
        new_tokens=typed_field(row, "new_tokens", int),
        origin_logprob=_number_or_none(row, "origin_logprob"),
        origin_logprobs=_logprobs(row),
        marks=_marks(row),
    )


def verdict_to_json(prompt_id: str, verdict: Verdict) -> JSON:
    """The verdict without the fields that say nothing."""
    row = {"prompt_id": prompt_id} | {name: getattr(verdict, name) for name in _VERDICT_ORDER}
    return {
        name: value
        for name, value in row.items()
        if value is not None or name not in ("detail", "start")
    }


def verdict_from_json(row: Mapping[str, object]) -> tuple[str, Verdict]:
    """The prompt id and the verdict of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _VERDICT)
    outcome = known_choice(row, "outcome", (*OUTCOMES, None))
    verdict = Verdict(
        outcome=cast("Outcome | None", outcome),
        reason=typed_field(row, "reason", str),
        score=_number_or_none(row, "score"),
        detail=cast(
            "Detail | None", known_choice({"detail": None, **row}, "detail", (*DETAILS, None))
        ),
        start=typed_field(row, "start", int) if "start" in row else None,
    )
    return typed_field(row, "prompt_id", str), verdict


def item_to_json(item: Item) -> JSON:
    """What was measured of a capability, without the fields that say nothing."""
    row = {"name": item.name, "value": item.value, "weight": item.weight}
    more = {"stderr": item.stderr, "each": item.each, "answer": item.answer}
    return row | {name: value for name, value in more.items() if value is not None}


def item_from_json(row: Mapping[str, object]) -> Item:
    """The item of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _ITEM)
    each = typed_field(row, "each", str) if "each" in row else None
    weight = typed_field(row, "weight", int)
    if weight < 1 or (each is not None and (set(each) - {"0", "1"} or not each)):
        raise ValueError("it has no items that can be counted")
    return Item(
        name=typed_field(row, "name", str),
        value=_number_or_none(row, "value"),
        weight=weight,
        stderr=_number_or_none(row, "stderr") if "stderr" in row else None,
        each=each,
        answer=typed_field(row, "answer", str) if "answer" in row else None,
    )


READERS: dict[Kind, Callable[[Mapping[str, object]], object]] = {
    "answers": exchange_from_json,
    "verdicts": verdict_from_json,
    "capability": item_from_json,
}


def _only(row: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := row.keys() - known:
        raise ValueError(f"it has the unknown field {shorten(min(unknown))}")


def typed_field(row: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = row.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"its {name} is not of type {kind.__name__}")
    return value


def _logprobs(row: Mapping[str, object]) -> tuple[float, ...] | None:
    """The log-probabilities of an answer's tokens; None where the line has none."""
    if "origin_logprobs" not in row:
        return None
    values = typed_field(row, "origin_logprobs", list)
    return tuple(_number(value, "origin_logprobs") for value in values)


def _marks(row: Mapping[str, object]) -> Marks | None:
    """The model's own marks of a thought; None where the line has none."""
    if "marks" not in row:
        return None
    match row["marks"]:
        case [str(opening), str(closing)] if opening and closing:
            return opening, closing
    raise ValueError("its marks are not two texts")


def known_choice(row: Mapping[str, object], name: str, known: Sequence[str | None]) -> str | None:
    value = row.get(name, "")
    if value not in known:
        raise ValueError(f"its {name} is none of those known")
    return cast("str | None", value)


def _number_or_none(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name, "")
    return None if value is None else _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its {name} is not a number")
    return value
