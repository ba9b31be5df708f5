"""One capability over the planes of a run: its value, what is kept of it, and how far."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from safebasin.landscape.capability.extents import KEPT, Extent, extent
from safebasin.landscape.capability.items import Item, Measure, estimate, expanded
from safebasin.landscape.capability.scores import Scores, exponential, mean_over
from safebasin.landscape.intervals import Array, Band, Estimate, share_band
from safebasin.plane import Plane, Point


@dataclass(frozen=True)
class Reading:
    """One capability at one point; `unscored` items gave no finite number."""

    point: Point
    value: Estimate
    kept: float | None
    items: int
    unscored: int

    def to_json(self) -> dict[str, Any]:
        return {
            "point": dict(self.point.terms),
            **_bounds(self.value),
            "method": self.value.method,
            "note": self.value.note,
            "kept": self.kept,
            "items": self.items,
            "unscored": self.unscored,
        }


@dataclass(frozen=True, eq=False)
class Capability:
    """One capability over the planes of a run.

    `items` maps the points that were measured to what was measured there, in one order of items.
    `assumed` points were left out on purpose, beyond the plateau. `harness` says that the
    items are those of lm-eval. `higher_is_better` is False where a small metric is a good one.
    """

    name: str
    planes: tuple[Plane, ...]
    items: Mapping[Point, Sequence[Item]]
    perplexity: bool = False
    harness: bool = False
    higher_is_better: bool = True
    metric: str = ""
    chance: float | None = None
    assumed: Collection[Point] = ()
    level: float = 0.95
    replicates: int = 2000
    seed: int = 0

    @cached_property
    def measure(self) -> Measure:
        """What the numbers are; a harness's are an accuracy where each document is right or not."""
        if self.perplexity:
            return "perplexity"
        every = [item for items in self.items.values() for item in items]
        if self.harness and any(item.each is None for item in every):
            return "metric"
        return "accuracy"

    @property
    def missing(self) -> int:
        """The points that are still to be measured."""
        points = {point for plane in self.planes for point in plane.points}
        return len(points - set(self.items) - set(self.assumed))

    @property
    def size(self) -> int:
        """The number of items: questions, documents, or windows."""
        return self.scores.size

    def reading(self, point: Point) -> Reading | None:
        """The capability at a point with its own interval; None where it was not measured."""
        if point not in self.items:
            return None
        items = self.items[point]
        values, _ = expanded(items)
        unscored = int(np.isnan(values).sum())
        value = estimate(items, self.measure, self.level, self.replicates, self.seed)
        return Reading(point, value, self._kept_at(point), len(values), unscored)

    @property
    def origin(self) -> Reading | None:
        return self.reading(Point())

    def mean(self) -> Band:
        """The mean over directions at each point, shaped like the plane, nan where unknown.

        Of perplexities it is the geometric mean.
        """
        if self.measure == "accuracy":
            values = self.scores.values
            known = ~np.isnan(values)
            band = share_band(known & (values > 0.5), known, self.level)
        else:
            low, high = self.scores.pointwise(self.scores.means, self.scores.drawn)
            value = mean_over(self.scores.means)
            method = self.scores.method
            band = Band(value, low, high, self.level, method)
            if self.measure == "perplexity":
                band = Band(
                    exponential(value), exponential(low), exponential(high), self.level, method
                )
        return self._shaped(band)

    def kept(self) -> Band:
        """The share of the origin's value that is kept, mean over directions, by point.

        Of a perplexity it is P(origin) / P(point): the probability a token, relative to the
        origin's; so all capabilities are 1 at the origin and fall.
        """
        low, high = self.scores.pointwise(self.scores.relative, self.scores.drawn_relative)
        value = mean_over(self.scores.relative)
        return self._shaped(Band(value, low, high, self.level, self.scores.method))

    def extent(self, share: float = KEPT) -> Extent:
        """How far from the origin at least `share` of the origin's value is kept."""
        return extent(self.scores, share)

    def to_json(self) -> dict[str, Any]:
        """Finite numbers, strings, lists and None only."""
        origin = self.origin
        mean, kept = self.mean(), self.kept()
        return {
            "name": self.name,
            "measure": self.measure,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better and not self.perplexity,
            "items": self.size,
            "chance": self.chance,
            "missing": self.missing,
            "assumed": len(self.assumed),
            "origin": None if origin is None else origin.to_json(),
            "extent": self.extent().to_json(),
            "mean": _band_to_json(mean),
            "kept": _band_to_json(kept),
            "landscapes": [
                [None if (one := self.reading(p)) is None else one.to_json() for p in plane.points]
                for plane in self.planes
            ],
        }

    def each(self) -> Array:
        """(directions, points): the value of every direction, nan where unknown."""
        means = self.scores.means
        return exponential(means) if self.measure == "perplexity" else means

    def each_kept(self) -> Array:
        """(directions, points): the share of the origin's value, nan where unknown."""
        return self.scores.relative

    @cached_property
    def scores(self) -> Scores:
        """The numbers behind it, as arrays."""
        return Scores(
            self.planes, self.items, self.measure, self.higher_is_better, self.level,
            self.replicates, self.seed,
        )  # fmt: skip

    def _kept_at(self, point: Point) -> float | None:
        for d, plane in enumerate(self.planes):
            for p, other in enumerate(plane.points):
                if other == point:
                    value = float(self.scores.relative[d, p])
                    return value if math.isfinite(value) else None
        return None

    def _shaped(self, band: Band) -> Band:
        shape = self.planes[0].shape
        value, low, high = (part.reshape(shape) for part in (band.value, band.low, band.high))
        return Band(value, low, high, band.level, band.method)


def _bounds(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _band_to_json(band: Band) -> dict[str, Any]:
    def numbers(array: Array) -> list[float | None]:
        return [float(v) if math.isfinite(v) else None for v in array.ravel()]

    return {
        "value": numbers(band.value),
        "low": numbers(band.low),
        "high": numbers(band.high),
        "level": band.level,
        "method": band.method,
    }
