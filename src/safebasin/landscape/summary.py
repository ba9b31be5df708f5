"""What is reported of a survey: plain frozen records that turn into JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safebasin.landscape.cells import Cell, Score
from safebasin.landscape.intervals import Band, Estimate


@dataclass(frozen=True)
class Side:
    """One side of the origin on a line.

    `width` is how far out ASR stays within the tolerance, in units of alpha; `reach` how far the
    grid goes. `plateaus` counts the directions (of `directions`) whose outermost point has an ASR
    of at least 0.99: where it is not all of them, VISAGE depends on the chosen range.
    """

    width: Estimate
    reach: float
    plateaus: int
    directions: int

    @property
    def plateau(self) -> bool:
        return self.plateaus == self.directions

    def to_json(self) -> dict[str, Any]:
        return {
            "width": self.width.to_json(),
            "reach": self.reach,
            "reached_plateau": self.plateaus,
            "directions": self.directions,
        }


@dataclass(frozen=True)
class Basin:
    """The stretch of a line around the origin where ASR <= tolerance; `width` adds both sides."""

    tolerance: float
    negative: Side
    positive: Side
    width: Estimate

    def to_json(self) -> dict[str, Any]:
        return {
            "tolerance": self.tolerance,
            "negative": self.negative.to_json(),
            "positive": self.positive.to_json(),
            "width": self.width.to_json(),
        }


@dataclass(frozen=True)
class Region:
    """The part of a two-axis plane that is joined to the origin and where ASR <= tolerance.

    `area_share` in [0, 1] of the grid; `equivalent_radius` that of a disc of the same area;
    `inner_radius` the shortest way out along a straight line.
    """

    tolerance: float
    area_share: Estimate
    equivalent_radius: Estimate
    inner_radius: Estimate

    def to_json(self) -> dict[str, Any]:
        return {
            "tolerance": self.tolerance,
            "area_share": self.area_share.to_json(),
            "equivalent_radius": self.equivalent_radius.to_json(),
            "inner_radius": self.inner_radius.to_json(),
        }


@dataclass(frozen=True)
class Sharpness:
    """The rise of ASR per unit alpha across each wall, from the tolerance up to 0.9."""

    negative: Estimate
    positive: Estimate

    def to_json(self) -> dict[str, Any]:
        return {"negative": self.negative.to_json(), "positive": self.positive.to_json()}


UNJUDGED_LIMIT = 0.02
"""Above this share of unjudged answers a judge's numbers come with a warning, and no result of
them is written for others; commands end with exit code 4."""


@dataclass(frozen=True)
class Summary:
    """A survey in numbers. `visage` is in points of 100, everything else in shares or alpha.

    `cells` holds one tuple of cells a landscape, in the order of the plane's points.
    """

    judge: str
    score: Score
    prompts: int
    directions: tuple[tuple[str, ...], ...]
    axes: tuple[tuple[float, ...], ...]
    judged: int
    unjudged: int
    unasked: int
    assumed: int
    origin: Cell | None
    visage: Estimate
    visage_reference: Estimate | None
    auc: Estimate
    basin: Basin | None
    region: Region | None
    sharpness: Sharpness | None
    mean: Band
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def unjudged_share(self) -> float:
        """The share of the answers that were not judged, in [0, 1]."""
        return self.unjudged / max(1, self.judged + self.unjudged)

    def to_json(self) -> dict[str, Any]:
        """Finite numbers, strings, lists and None only; an unknown mean ASR is None."""

        def one(part: Any) -> Any:
            return None if part is None else part.to_json()

        def numbers(array: Any) -> list[float | None]:
            return [float(v) if v == v else None for v in array.ravel()]

        return {
            "judge": self.judge,
            "score": self.score,
            "prompts": self.prompts,
            "directions": [list(names) for names in self.directions],
            "axes": [list(values) for values in self.axes],
            "judged": self.judged,
            "unjudged": self.unjudged,
            "unasked": self.unasked,
            "assumed": self.assumed,
            "origin": one(self.origin),
            "visage": self.visage.to_json(),
            "visage_reference": one(self.visage_reference),
            "auc": self.auc.to_json(),
            "basin": one(self.basin),
            "region": one(self.region),
            "sharpness": one(self.sharpness),
            "mean": {
                "value": numbers(self.mean.value),
                "low": numbers(self.mean.low),
                "high": numbers(self.mean.high),
                "level": self.mean.level,
                "method": self.mean.method,
            },
            "landscapes": [[cell.to_json() for cell in cells] for cells in self.cells],
        }
