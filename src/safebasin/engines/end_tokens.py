"""The tokens that end an answer, which may be others where another model lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from safebasin.plane import Point


@dataclass(frozen=True)
class EndTokens:
    """Which tokens end an answer at a point.

    own  those of the model that is loaded, which hold at the origin
    at   those of other models, at the points where they lie

    Everywhere else, between the models and beyond them, an answer ends at the end token of any.
    Token ids are ascending.
    """

    own: tuple[int, ...]
    at: Mapping[Point, tuple[int, ...]] = field(default_factory=dict)

    def of(self, point: Point) -> tuple[int, ...]:
        if point in self.at:
            return self.at[point]
        if point.is_origin:
            return self.own
        return tuple(sorted({*self.own, *(token for one in self.at.values() for token in one)}))
