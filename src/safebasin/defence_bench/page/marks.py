"""The small pictures of a bench's page, as coordinates: an interval, and a curve beside a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safebasin.landscape.intervals import Estimate

WIDE, HIGH, EDGE = 150.0, 84.0, 6.0
"""Of a panel, in its own units; a curve keeps that far from its sides."""


@dataclass(frozen=True)
class Mark:
    """A share on a line from 0 to 100: where it lies, and its interval's ends."""

    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """The attacker's best so far under one defence, from the shortest attack to the longest.

    line, bare  points of the defence's curve and of the undefended one's, as SVG has them
    band        the interval around the first; empty where there is none
    told        the same in words
    """

    name: str
    line: str
    bare: str
    band: str
    told: str


def mark_of(value: Mapping[str, Any]) -> Mark | None:
    """Where a share is drawn; None where it was not measured."""
    one = Estimate.from_json(value)
    if one.value is None:
        return None
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    return Mark(*(round(100 * end, 2) for end in (one.value, low, high)))


def panels(own: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """A panel a defence; none where the attack was measured at one setting, which is no curve."""
    curves = {
        row["defence"]: [Estimate.from_json(one) for one in row["best_so_far"]] for row in own
    }
    bare = curves.get("none", [])
    return [
        Panel(name, _points(curve), _points(bare), _band(curve), _told(curve))
        for name, curve in curves.items()
        if len(curve) > 1
    ]


def _points(curve: Sequence[Estimate]) -> str:
    places = [(i, one.value) for i, one in enumerate(curve) if one.value is not None]
    return " ".join(_place(i, value, len(curve)) for i, value in places)


def _band(curve: Sequence[Estimate]) -> str:
    if any(one.low is None or one.high is None for one in curve):
        return ""
    ends = [(i, one.low or 0.0, one.high or 0.0) for i, one in enumerate(curve)]
    there = [_place(i, low, len(curve)) for i, low, _ in ends]
    back = [_place(i, high, len(curve)) for i, _, high in reversed(ends)]
    return " ".join([*there, *back])


def _place(i: int, value: float, count: int) -> str:
    x = EDGE + (WIDE - 2 * EDGE) * i / max(1, count - 1)
    y = EDGE + (HIGH - 2 * EDGE) * (1 - value)
    return f"{x:.1f},{y:.1f}"


def _told(curve: Sequence[Estimate]) -> str:
    values = ("not measured" if one.value is None else f"{100 * one.value:.0f}" for one in curve)
    return f"ASR in percent by setting: {', '.join(values)}"
