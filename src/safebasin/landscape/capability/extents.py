"""How far from the origin a capability is kept, on a line and on a plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from safebasin.landscape import measures
from safebasin.landscape.capability.scores import Scores
from safebasin.landscape.intervals import (
    Array,
    Estimate,
    clustered,
    clustered_method,
    usual_spread,
)
from safebasin.landscape.resample import joined

KEPT = 0.9
"""A point lies inside the capability's basin where this share of the origin's value is kept."""


@dataclass(frozen=True)
class Extent:
    """How far a capability is kept: on both sides of a line, or as a share of a plane.

    `negative` and `positive` are None on a plane, `area_share` is None on a line. `width` is
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


def extent(scores: Scores, share: float) -> Extent:
    """How far from the origin at least `share` of the origin's value is kept.

    The edge lies on the straight line between the last point inside and the first outside.
    Intervals resample items, the origin's too, and directions.
    """
    if len(scores.planes[0].axes) == 1:
        sides = [_side(scores, (sign,), share) for sign in (-1, 1)]
        return Extent(share, sides[0], sides[1], _side(scores, (-1, 1), share), None)
    return Extent(share, None, None, None, _area(scores, share))


def _side(scores: Scores, signs: tuple[int, ...], share: float) -> Estimate:
    """How far the capability is kept on one side of the lines, or on both together."""
    index = scores.planes[0].origin
    alpha = np.array(scores.planes[0].axes[0].values)
    if index is None:
        return Estimate(None, level=scores.level, note="the grid does not hold the origin")
    lost, drawn = 1 - scores.relative, 1 - scores.drawn_relative
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
    found = _over_directions(scores, values, replicates, (0.0, reach * len(signs)), note)
    return replace(found, at_least=True, high=None) if any(ended) else found


def _area(scores: Scores, share: float) -> Estimate:
    """The share of the plane's area that is joined to the origin and keeps the capability.

    Area as in `landscape.regions`: a point's cell, as far as it lies in the plane.
    """
    origin, shape = scores.planes[0].origin, scores.planes[0].shape
    if origin is None:
        return Estimate(None, level=scores.level, note="the grid does not hold the origin")
    home = (origin[0], origin[1])
    axes = [np.array(axis.values) for axis in scores.planes[0].axes]
    weights = measures.grid(measures.trapezoid, axes)

    def area(kept: Array) -> Array:
        inside = (np.nan_to_num(kept, nan=0.0) >= share).reshape(*kept.shape[:-1], *shape)
        joint = measures.component(inside, home).reshape(kept.shape)
        return np.asarray(joint @ weights, dtype=np.float64) / float(weights.sum())

    values = np.where(np.isnan(scores.relative).all(-1), np.nan, area(scores.relative))
    return _over_directions(scores, values, area(scores.drawn_relative), (0.0, 1.0), "")


def _over_directions(
    scores: Scores, values: Array, replicates: Array, limits: tuple[float, float], note: str
) -> Estimate:
    """The mean over directions with the interval of `intervals.clustered`."""
    each = tuple(None if math.isnan(v) else float(v) for v in values)
    defined = ~np.isnan(values)
    if not defined.any():
        note = joined(note, "the origin or this side was not measured, or has nothing to keep")
        return Estimate(None, level=scores.level, note=note, each=each)
    values, replicates = values[defined], replicates[:, defined]
    mean = float(values.mean())
    if len(values) < 2 and (scores.measure == "metric" or scores.values.shape[-1] < 2):
        note = joined(note, "one direction, and nothing to resample: no interval")
        return Estimate(mean, level=scores.level, method="none", note=note, each=each)
    items = scores.values.shape[-1]
    usual = usual_spread(mean, limits)
    low, high = clustered(values, replicates, items, limits, scores.level, usual)
    method = "t interval over directions, their variance moderated by one of the usual spread"
    if scores.measure != "metric":
        method = clustered_method(len(values), len(replicates), scores.seed, scores.what)
    return Estimate(mean, low, high, scores.level, method, note, each=each)


def _finite(lost: Array) -> Array:
    """What is lost, at most all of it: an infinite perplexity keeps nothing."""
    return np.nan_to_num(np.minimum(lost, 1.0), nan=1.0, neginf=-1e9)
