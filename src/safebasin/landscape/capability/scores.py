"""A capability's numbers at every point of every direction, and what resampling makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape.capability.items import LARGEST, Item, Measure, expanded, pooled_error
from safebasin.landscape.intervals import Array, clustered, normal_quantile
from safebasin.plane import Plane, Point

CHUNK = 200
"""Replicates drawn at a time, to bound the memory that large sets take."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Arrays over D directions, P points, I items and B replicates.

    `items` maps the points that were measured to what was measured there, in one order of items.
    """

    planes: tuple[Plane, ...]
    items: Mapping[Point, Sequence[Item]]
    measure: Measure
    higher_is_better: bool
    level: float
    replicates: int
    seed: int

    @property
    def size(self) -> int:
        """The number of items: questions, documents, or windows."""
        return max((len(expanded(items)[0]) for items in self.items.values()), default=0)

    @cached_property
    def values(self) -> Array:
        """(D, P, I): nan where there is no finite number, or nothing was measured."""
        found = np.full((len(self.planes), len(self.planes[0].points), max(1, self.size)), np.nan)
        for d, plane in enumerate(self.planes):
            for p, point in enumerate(plane.points):
                if point in self.items:
                    values, _ = expanded(self.items[point])
                    found[d, p, : len(values)] = values
        return found

    @cached_property
    def weights(self) -> Array:
        """(I,): the same at every point."""
        first = next(iter(self.items.values()), ())
        _, weights = expanded(first)
        return weights if len(weights) else np.ones(1)

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """(D, P): whether the point was measured."""
        return np.array([[point in self.items for point in p.points] for p in self.planes])

    @cached_property
    def means(self) -> Array:
        """(D, P): accuracy, mean negative log-likelihood, or metric.

        One window without a finite likelihood makes the whole text infinitely unlikely.
        """
        totals = (np.where(np.isnan(self.values), 0.0, self.values) * self.weights).sum(-1)
        scores = totals / self.weights.sum()
        broken = np.isnan(self.values).any(-1)
        scores = np.where(broken, np.inf if self.measure == "perplexity" else np.nan, scores)
        return np.where(self.measured, scores, np.nan)

    @cached_property
    def drawn(self) -> Array:
        """(B, D, P): the means of as many items drawn with replacement, together everywhere."""
        directions, points, items = self.values.shape
        if self.measure == "metric" or items < 2:
            return np.broadcast_to(self.means, (2, directions, points))
        flat = np.where(np.isnan(self.values), 0.0, self.values).reshape(-1, items)
        generator = np.random.default_rng((self.seed, 0))
        parts = []
        for start in range(0, self.replicates, CHUNK):
            count = min(CHUNK, self.replicates - start)
            draws = generator.multinomial(items, np.full(items, 1 / items), count)
            weighed = draws * self.weights
            parts.append((weighed @ flat.T) / weighed.sum(-1, keepdims=True))
        drawn = np.concatenate(parts).reshape(-1, directions, points)
        return np.where(np.isfinite(self.means), drawn, self.means)

    @cached_property
    def relative(self) -> Array:
        """(D, P): the means as shares of the origin's."""
        return self._against_origin(self.means)

    @cached_property
    def drawn_relative(self) -> Array:
        """(B, D, P): the drawn ones as shares of the origin's, drawn with them."""
        return self._against_origin(self.drawn)

    def _against_origin(self, scores: Array) -> Array:
        """Scores (..., D, P) as shares of the origin's: nan without an origin, or where it is 0."""
        index = self.planes[0].origin
        if index is None:
            return np.full(scores.shape, np.nan)
        flat = int(np.ravel_multi_index(index, self.planes[0].shape))
        home = scores[..., flat : flat + 1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.measure == "perplexity":
                return np.asarray(np.exp(home - scores), dtype=np.float64)
            ratio = scores / home if self.higher_is_better else home / scores
            return np.where(home > 0, ratio, np.nan)

    def pointwise(self, scores: Array, drawn: Array) -> tuple[Array, Array]:
        """The interval of the mean over directions at each point: (P,) and (P,)."""
        points = scores.shape[1]
        low, high = np.full(points, np.nan), np.full(points, np.nan)
        error = self.standard_errors
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
            if self.values.shape[-1] < 2:
                continue  # one window says nothing of others
            low[p], high[p] = clustered(
                values, drawn[:, known, p], self.values.shape[-1], (-np.inf, np.inf), self.level
            )
        return low, high

    @cached_property
    def standard_errors(self) -> Array:
        """(D, P): of a metric, relative to the origin or not alike; 0 where none is given."""
        found = np.zeros(self.measured.shape)
        for d, plane in enumerate(self.planes):
            for p, point in enumerate(plane.points):
                if point in self.items:
                    found[d, p] = pooled_error(self.items[point])
        return found

    @property
    def what(self) -> str:
        """What is resampled."""
        return "windows" if self.measure == "perplexity" else "items"

    @property
    def method(self) -> str:
        """How the interval at a point was made."""
        if self.measure == "metric":
            return "the harness's standard error and the spread over directions, normal"
        of = f"directions and {self.what}" if len(self.planes) > 1 else self.what
        return (
            f"t interval over {of}, widened to the percentiles of {self.replicates} resamples of "
            f"{self.what}, seed {self.seed}"
        )


def mean_over(scores: Array) -> Array:
    """The mean over the directions that are known, (P,); nan where none is."""
    known = ~np.isnan(scores)
    count = known.sum(0)
    total = np.where(known, scores, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def exponential(logarithm: Array) -> Array:
    """exp, nan where it is too large for a number."""
    return np.where(logarithm <= LARGEST, np.exp(np.minimum(logarithm, LARGEST)), np.nan)
