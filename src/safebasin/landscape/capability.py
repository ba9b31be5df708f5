"""What a model can still do at every point: accuracies and perplexities, each with its interval.

A capability is measured by the same items everywhere: questions that are answered right or not,
windows of a text with their likelihood, or one number that another harness made. So items are
resampled together at all points, as the prompts of a landscape are, and directions beside them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape import measures
from safebasin.landscape.intervals import (
    Array,
    Band,
    Estimate,
    clustered,
    normal_quantile,
    share_band,
    wilson,
)
from safebasin.landscape.resample import joined
from safebasin.plane import Plane, Point

Measure = Literal["accuracy", "perplexity", "metric"]
MEASURES: tuple[Measure, ...] = ("accuracy", "perplexity", "metric")
KEPT = 0.9
"""A point lies inside the capability's basin where this share of the origin's value is kept."""
LARGEST = 700.0
"""The mean negative log-likelihood, in nats, above which a perplexity is no number any more."""
CHUNK = 200
"""Replicates drawn at a time, to bound the memory that large sets take."""


@dataclass(frozen=True)
class Item:
    """One thing measured at a point.

    value   accuracy: 1 for right, 0 for wrong; perplexity: the mean negative log-likelihood a
            token of a window, in nats; metric: the harness's own number. None where it is not a
            finite number
    weight  the tokens of a window, the documents of a task; else 1
    stderr  the standard error that a harness gives, or None
    each    of a task whose documents are right or not: a 1 or a 0 for each, else None
    answer  what was answered or chosen, or None
    """

    name: str
    value: float | None
    weight: int = 1
    stderr: float | None = None
    each: str | None = None
    answer: str | None = None


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


@dataclass(frozen=True)
class Extent:
    """How far a capability is kept: on both sides of a line, or as a share of a plane.

    `negative` and `positive` are None on a plane, `area_share` is None on a line. `extent` is
    in units of alpha: the two sides together, or not defined on a plane.
    """

    share: float
    negative: Estimate | None
    positive: Estimate | None
    width: Estimate | None
    area_share: Estimate | None

    def to_json(self) -> dict[str, Any]:
        parts = {
            "negative": self.negative,
            "positive": self.positive,
            "width": self.width,
            "area_share": self.area_share,
        }
        told = {name: None if one is None else one.to_json() for name, one in parts.items()}
        return {"share": self.share, **told}


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
        return max((len(_expanded(items)[0]) for items in self.items.values()), default=0)

    def reading(self, point: Point) -> Reading | None:
        """The capability at a point with its own interval; None where it was not measured."""
        if point not in self.items:
            return None
        values, _ = _expanded(self.items[point])
        unscored = int(np.isnan(values).sum())
        kept = self._kept_at(point)
        return Reading(point, self._estimate(self.items[point]), kept, len(values), unscored)

    @property
    def origin(self) -> Reading | None:
        return self.reading(Point())

    def mean(self) -> Band:
        """The mean over directions at each point, shaped like the plane, nan where unknown.

        Of perplexities it is the geometric mean.
        """
        if self.measure == "accuracy":
            values = self._values
            known = ~np.isnan(values)
            band = share_band(known & (values > 0.5), known, self.level)
        else:
            low, high = self._pointwise(self._scores, self._drawn)
            value = _mean(self._scores)
            method = self._method
            band = Band(value, low, high, self.level, method)
            if self.measure == "perplexity":
                band = Band(_exp(value), _exp(low), _exp(high), self.level, method)
        return self._shaped(band)

    def kept(self) -> Band:
        """The share of the origin's value that is kept, mean over directions, by point.

        Of a perplexity it is P(origin) / P(point): the probability a token, relative to the
        origin's; so all capabilities are 1 at the origin and fall.
        """
        low, high = self._pointwise(self._relative, self._drawn_relative)
        value = _mean(self._relative)
        return self._shaped(Band(value, low, high, self.level, self._method))

    def extent(self, share: float = KEPT) -> Extent:
        """How far from the origin at least `share` of the origin's value is kept.

        The edge lies on the straight line between the last point inside and the first outside.
        Intervals resample items, the origin's too, and directions.
        """
        if len(self.planes[0].axes) == 1:
            sides = [self._side((sign,), share) for sign in (-1, 1)]
            return Extent(share, sides[0], sides[1], self._side((-1, 1), share), None)
        return Extent(share, None, None, None, self._area(share))

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
        return _exp(self._scores) if self.measure == "perplexity" else self._scores

    def each_kept(self) -> Array:
        """(directions, points): the share of the origin's value, nan where unknown."""
        return self._relative

    # -- arrays: D directions, P points, I items, B replicates

    @cached_property
    def _values(self) -> Array:
        """(D, P, I): nan where there is no finite number, or nothing was measured."""
        found = np.full((len(self.planes), len(self.planes[0].points), max(1, self.size)), np.nan)
        for d, plane in enumerate(self.planes):
            for p, point in enumerate(plane.points):
                if point in self.items:
                    values, _ = _expanded(self.items[point])
                    found[d, p, : len(values)] = values
        return found

    @cached_property
    def _weights(self) -> Array:
        """(I,): the same at every point."""
        first = next(iter(self.items.values()), ())
        _, weights = _expanded(first)
        return weights if len(weights) else np.ones(1)

    @cached_property
    def _measured(self) -> NDArray[np.bool_]:
        """(D, P)"""
        return np.array([[point in self.items for point in p.points] for p in self.planes])

    @cached_property
    def _scores(self) -> Array:
        """(D, P): accuracy, mean negative log-likelihood, or metric.

        One window without a finite likelihood makes the whole text infinitely unlikely.
        """
        totals = (np.where(np.isnan(self._values), 0.0, self._values) * self._weights).sum(-1)
        scores = totals / self._weights.sum()
        broken = np.isnan(self._values).any(-1)
        scores = np.where(broken, np.inf if self.perplexity else np.nan, scores)
        return np.where(self._measured, scores, np.nan)

    @cached_property
    def _drawn(self) -> Array:
        """(B, D, P): the scores of as many items drawn with replacement, together everywhere."""
        directions, points, items = self._values.shape
        if self.measure == "metric" or items < 2:
            return np.broadcast_to(self._scores, (2, directions, points))
        flat = np.where(np.isnan(self._values), 0.0, self._values).reshape(-1, items)
        generator = np.random.default_rng((self.seed, 0))
        parts = []
        for start in range(0, self.replicates, CHUNK):
            count = min(CHUNK, self.replicates - start)
            draws = generator.multinomial(items, np.full(items, 1 / items), count)
            weighed = draws * self._weights
            parts.append((weighed @ flat.T) / weighed.sum(-1, keepdims=True))
        drawn = np.concatenate(parts).reshape(-1, directions, points)
        return np.where(np.isfinite(self._scores), drawn, self._scores)

    @cached_property
    def _relative(self) -> Array:
        """(D, P)"""
        return self._against_origin(self._scores)

    @cached_property
    def _drawn_relative(self) -> Array:
        """(B, D, P)"""
        return self._against_origin(self._drawn)

    def _against_origin(self, scores: Array) -> Array:
        """Scores (..., D, P) as shares of the origin's: nan without an origin, or where it is 0."""
        index = self.planes[0].origin
        if index is None:
            return np.full(scores.shape, np.nan)
        flat = int(np.ravel_multi_index(index, self.planes[0].shape))
        home = scores[..., flat : flat + 1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.perplexity:
                return np.asarray(np.exp(home - scores), dtype=np.float64)
            ratio = scores / home if self.higher_is_better else home / scores
            return np.where(home > 0, ratio, np.nan)

    def _kept_at(self, point: Point) -> float | None:
        for d, plane in enumerate(self.planes):
            for p, other in enumerate(plane.points):
                if other == point:
                    value = float(self._relative[d, p])
                    return value if math.isfinite(value) else None
        return None

    # -- intervals

    def _estimate(self, items: Sequence[Item]) -> Estimate:
        """One point's value with the interval of its own items."""
        values, weights = _expanded(items)
        unscored = int(np.isnan(values).sum())
        if self.measure == "accuracy":
            known = values[~np.isnan(values)]
            found = wilson(int(known.sum()), len(known), self.level)
            return replace(found, note=f"{unscored} items gave no number" if unscored else "")
        if self.measure == "metric":
            return _metric(items, self.level)
        if unscored:
            note = f"{unscored} of {len(values)} windows have no finite likelihood: infinite"
            return Estimate(None, level=self.level, note=note)
        return _perplexity(values, weights, self.level, self.replicates, self.seed)

    def _pointwise(self, scores: Array, drawn: Array) -> tuple[Array, Array]:
        """The interval of the mean over directions at each point: (P,) and (P,)."""
        points = scores.shape[1]
        low, high = np.full(points, np.nan), np.full(points, np.nan)
        error = self._standard_errors
        for p in range(points):
            known = np.isfinite(scores[:, p])
            if not known.any():
                continue
            values = scores[known, p]
            if self.measure == "metric":
                # The same documents everywhere: their error does not shrink with directions.
                spread = float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
                half = normal_quantile(self.level) * math.sqrt(
                    float(error[known, p].mean()) ** 2 + spread
                )
                low[p], high[p] = float(values.mean()) - half, float(values.mean()) + half
                continue
            if self._values.shape[-1] < 2:
                continue  # one window says nothing of others
            draws = self._direction_draws(len(drawn), len(values))
            low[p], high[p] = clustered(
                values, drawn[:, known, p], draws, self._values.shape[-1], (-np.inf, np.inf),
                self.level,
            )  # fmt: skip
        return low, high

    @cached_property
    def _standard_errors(self) -> Array:
        """(D, P): of a metric, relative to the origin or not alike; 0 where none is given."""
        found = np.zeros(self._measured.shape)
        for d, plane in enumerate(self.planes):
            for p, point in enumerate(plane.points):
                if point in self.items:
                    found[d, p] = _pooled_error(self.items[point])
        return found

    def _side(self, signs: tuple[int, ...], share: float) -> Estimate:
        """How far the capability is kept on one side of the lines, or on both together."""
        index = self.planes[0].origin
        alpha = np.array(self.planes[0].axes[0].values)
        if index is None:
            return Estimate(None, level=self.level, note="the grid does not hold the origin")
        lost, drawn = 1 - self._relative, 1 - self._drawn_relative
        values = np.zeros(len(lost))
        replicates = np.zeros(drawn.shape[:2])
        ended: list[bool] = []
        reach = 0.0
        for d in range(len(lost)):
            for sign in signs:
                distance = sign * alpha
                order = np.flatnonzero((distance >= 0) & ~np.isnan(lost[d]))
                order = order[np.argsort(distance[order])]
                if len(order) < 2 or distance[order[0]] != 0:
                    values[d] = np.nan
                    continue
                steps = np.abs(distance[order])
                reach = max(reach, float(steps[-1]))
                edge = measures.crossing(steps, _finite(lost[d, order]), 1 - share)
                ended.append(bool(np.isinf(edge)))
                values[d] += min(float(edge), float(steps[-1]))
                edges = measures.crossing(steps, _finite(drawn[:, d][:, order]), 1 - share)
                replicates[:, d] += np.minimum(edges, steps[-1])
        note = ""
        if count := sum(ended):
            note = f"{count} of {len(ended)} sides keep it up to the end of the range"
        found = self._over_directions(values, replicates, (0.0, reach * len(signs)), note)
        return replace(found, at_least=True, high=None) if any(ended) else found

    def _area(self, share: float) -> Estimate:
        """The share of the plane that is joined to the origin and keeps the capability."""
        origin, shape = self.planes[0].origin, self.planes[0].shape
        if origin is None:
            return Estimate(None, level=self.level, note="the grid does not hold the origin")
        home = (origin[0], origin[1])
        axes = [np.array(axis.values) for axis in self.planes[0].axes]
        weights = measures.grid(measures.spacing, axes)

        def area(kept: Array) -> Array:
            inside = (np.nan_to_num(kept, nan=0.0) >= share).reshape(*kept.shape[:-1], *shape)
            joint = measures.component(inside, home).reshape(kept.shape)
            return np.asarray(joint @ weights, dtype=np.float64) / float(weights.sum())

        values = np.where(np.isnan(self._relative).all(-1), np.nan, area(self._relative))
        return self._over_directions(values, area(self._drawn_relative), (0.0, 1.0), "")

    def _over_directions(
        self, values: Array, replicates: Array, limits: tuple[float, float], note: str
    ) -> Estimate:
        """The mean over directions with the interval of `intervals.clustered`."""
        each = tuple(None if math.isnan(v) else float(v) for v in values)
        defined = ~np.isnan(values)
        if not defined.any():
            note = joined(note, "the origin or this side was not measured, or has nothing to keep")
            return Estimate(None, level=self.level, note=note, each=each)
        values, replicates = values[defined], replicates[:, defined]
        mean = float(values.mean())
        if len(values) < 2 and (self.measure == "metric" or self._values.shape[-1] < 2):
            note = joined(note, "one direction, and nothing to resample: no interval")
            return Estimate(mean, level=self.level, method="none", note=note, each=each)
        draws = self._direction_draws(len(replicates), len(values))
        low, high = clustered(values, replicates, draws, self._values.shape[-1], limits, self.level)
        return Estimate(mean, low, high, self.level, self._method, note, each=each)

    def _direction_draws(self, replicates: int, directions: int) -> NDArray[np.intp]:
        generator = np.random.default_rng((self.seed, 1))
        return generator.integers(0, directions, (replicates, directions))

    @property
    def _method(self) -> str:
        if self.measure == "metric":
            return "the harness's standard error and the spread over directions, normal"
        what = "windows" if self.perplexity else "items"
        of = f"{what} and directions" if len(self.planes) > 1 else what
        return f"bootstrap over {of}, {self.replicates} replicates, seed {self.seed}"

    def _shaped(self, band: Band) -> Band:
        shape = self.planes[0].shape
        value, low, high = (part.reshape(shape) for part in (band.value, band.low, band.high))
        return Band(value, low, high, band.level, band.method)


def _expanded(items: Sequence[Item]) -> tuple[Array, Array]:
    """The value and the weight of every item, a task's documents one by one."""
    values: list[float] = []
    weights: list[float] = []
    for item in items:
        if item.each is not None:
            values += [float(mark) for mark in item.each]
            weights += [1.0] * len(item.each)
        else:
            values.append(math.nan if item.value is None else item.value)
            weights.append(float(item.weight))
    return np.array(values), np.array(weights)


def _metric(items: Sequence[Item], level: float) -> Estimate:
    """The mean of tasks' own numbers, weighted by their documents, by their standard errors."""
    if any(item.value is None for item in items):
        return Estimate(None, level=level, note="the harness gave no finite number")
    values, weights = _expanded(items)
    value = float((values * weights).sum() / weights.sum())
    if any(item.stderr is None for item in items):
        return Estimate(value, level=level, method="none", note="no standard error is given")
    half = normal_quantile(level) * _pooled_error(items)
    method = "normal, by lm-eval's standard error"
    return Estimate(value, value - half, value + half, level, method)


def _pooled_error(items: Sequence[Item]) -> float:
    weights = np.array([float(item.weight) for item in items])
    errors = np.array([item.stderr or 0.0 for item in items])
    return float(np.sqrt(((weights * errors) ** 2).sum()) / weights.sum())


def _perplexity(
    values: Array, weights: Array, level: float, replicates: int, seed: int
) -> Estimate:
    """exp of the mean negative log-likelihood, with a percentile interval over windows."""
    mean = float((values * weights).sum() / weights.sum())
    if mean > LARGEST:
        return Estimate(None, level=level, note=f"larger than e^{LARGEST:g}")
    value = math.exp(mean)
    if len(values) < 2:
        note = "one window gives no interval"
        return Estimate(value, level=level, method="none", note=note)
    generator = np.random.default_rng((seed, 0))
    draws = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), replicates)
    weighed = draws * weights
    means = (weighed @ values) / weighed.sum(-1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    method = f"percentile bootstrap over windows, {replicates} replicates, seed {seed}"
    bounds = [min(float(bound), LARGEST) for bound in (low, high)]
    return Estimate(value, math.exp(bounds[0]), math.exp(bounds[1]), level, method)


def _mean(scores: Array) -> Array:
    """The mean over the directions that are known, (P,); nan where none is."""
    known = ~np.isnan(scores)
    count = known.sum(0)
    total = np.where(known, scores, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _exp(logarithm: Array) -> Array:
    """exp, nan where it is too large for a number."""
    return np.where(logarithm <= LARGEST, np.exp(np.minimum(logarithm, LARGEST)), np.nan)


def _finite(lost: Array) -> Array:
    """What is lost, at most all of it: an infinite perplexity keeps nothing."""
    return np.nan_to_num(np.minimum(lost, 1.0), nan=1.0, neginf=-1e9)


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
