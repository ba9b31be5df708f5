"""Walking outward from the origin until the plateau: which points are still worth asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from safebasin.errors import UsageError
from safebasin.landscape import PLATEAU
from safebasin.plane import Plane, Point

CONSECUTIVE = 2


@dataclass
class Walk:
    """Each half of each line, from the origin outward, up to `consecutive` points on the plateau.

    A point is on the plateau where the observed ASR is at least PLATEAU. What lies beyond is not
    asked, and is assumed to be fully broken. Which points are left out depends on the ASRs alone,
    not on the order in which they become known. Raises UsageError for planes of two axes.
    """

    planes: Sequence[Plane]
    consecutive: int = CONSECUTIVE
    _sides: list[list[Point]] = field(default_factory=list)
    _asr: dict[Point, float | None] = field(default_factory=dict)
    _beyond: frozenset[Point] = frozenset()

    def __post_init__(self) -> None:
        if self.consecutive < 1:
            raise UsageError(
                f"{self.consecutive} points on the plateau were asked for.", "Give at least 1."
            )
        for plane in self.planes:
            if len(plane.axes) != 1 or plane.origin is None:
                raise UsageError(
                    "Only lines through the origin can be walked outward.",
                    "Leave out --stop-at-plateau, or give --axes 1.",
                )
            [axis] = plane.axes
            for sign in (-1, 1):
                values = sorted((v for v in axis.values if sign * v >= 0), key=abs)
                self._sides.append([Point.of({axis.direction: value}) for value in values])

    def record(self, point: Point, asr: float | None) -> None:
        """Take note of the observed ASR (0 to 1) at a point, None where it could not be judged."""
        self._asr[point] = asr
        self._beyond = frozenset(self._unwanted())

    def wanted(self, point: Point) -> bool:
        """Whether a point still has to be asked."""
        return point not in self._beyond

    @property
    def assumed(self) -> tuple[Point, ...]:
        """The points beyond the plateau, those that were measured all the same included."""
        return tuple(sorted(self._beyond, key=lambda point: (point.distance, point.terms)))

    def _unwanted(self) -> Iterable[Point]:
        for side in self._sides:
            run = 0
            for place, point in enumerate(side):
                asr = self._asr.get(point)
                run = run + 1 if asr is not None and asr >= PLATEAU else 0
                if run == self.consecutive:
                    yield from side[place + 1 :]
                    break

    def to_json(self, judge: str) -> dict[str, Any]:
        """What was assumed, by which judge's ASR, and why."""
        return {
            "judge": judge,
            "asr_at_least": PLATEAU,
            "consecutive_points": self.consecutive,
            "points": [point.key for point in self.assumed],
        }
