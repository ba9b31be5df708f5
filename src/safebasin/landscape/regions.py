"""The safe region of a plane of two axes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape import measures
from safebasin.landscape.cells import Score
from safebasin.landscape.intervals import Array, Estimate
from safebasin.landscape.lines import NO_ORIGIN
from safebasin.landscape.resample import Sample
from safebasin.landscape.summary import Region

BATCH = 500  # replicates traced along their rays at a time, to bound the memory


def region(sample: Sample, tolerance: float, score: Score) -> Region:
    """The points joined to the origin within the tolerance; unknown points count as outside."""
    weights = measures.grid(measures.trapezoid, sample.axes)
    plane = math.prod(float(np.ptp(axis)) for axis in sample.axes)
    origin, shape = sample.plane.origin, sample.plane.shape
    if origin is None:
        absent = Estimate(None, level=sample.level, note=NO_ORIGIN)
        return Region(tolerance, absent, absent, absent, plane)

    def share(asr: Array) -> Array:
        joined = joined_points(sample, asr, tolerance)
        return np.asarray(joined @ weights, dtype=np.float64) / float(weights.sum())

    measured = sample.rates(score)
    rates = _closed(measured)
    home = (origin[0], origin[1])
    above = measured.reshape(-1, *shape)[:, home[0], home[1]] > tolerance
    notes = [
        sample.gaps(),
        f"the origin is above the tolerance of {tolerance:g}" if above.any() else "",
    ]
    area = sample.estimate(lambda _: share, (0.0, 1.0), score, notes=notes)
    if min(shape) < 2:
        flat = Estimate(None, level=sample.level, note="an axis has one value only")
        return Region(tolerance, area, flat, flat, plane)
    rays = measures.Rays(sample.axes, home)

    def shortest(asr: Array) -> Array:
        rows = _closed(asr).reshape(-1, weights.size)
        batches = np.array_split(rows, math.ceil(len(rows) / BATCH))
        radii = [np.minimum(rays.radii(b, tolerance), rays.exits).min(-1) for b in batches]
        return np.concatenate(radii).reshape(asr.shape[:-1])

    crossed = rays.radii(rates, tolerance)
    nearest = np.minimum(crossed, rays.exits).argmin(-1)
    open_ways = np.isinf(np.take_along_axis(crossed, nearest[:, None], -1)).any()
    inner_notes = [*notes, "the region reaches the border of the grid" if open_ways else ""]
    limits = (0.0, float(rays.exits.max()))
    inner = sample.estimate(lambda _: shortest, limits, score, notes=inner_notes)
    if open_ways:
        inner = dataclasses.replace(inner, at_least=True, high=None)
    return Region(tolerance, area, _disc(area, plane), inner, plane)


def joined_points(sample: Sample, asr: Array, tolerance: float) -> NDArray[np.bool_]:
    """Which points of asr (..., points) are joined to the origin within the tolerance."""
    origin, shape = sample.plane.origin, sample.plane.shape
    if origin is None:
        return np.zeros(asr.shape, dtype=bool)
    inside = (_closed(asr) <= tolerance).reshape(*asr.shape[:-1], *shape)
    return measures.component(inside, (origin[0], origin[1])).reshape(asr.shape)


def _closed(asr: Array) -> Array:
    """Rates in which a point of which nothing is known is outside."""
    return np.where(np.isnan(asr), 1.0, asr)


def _disc(share: Estimate, plane: float) -> Estimate:
    """The radius of a disc of so large a share of a plane's area, with its interval."""

    def radius(value: float | None) -> float | None:
        return None if value is None else math.sqrt(value * plane / math.pi)

    return dataclasses.replace(
        share,
        value=radius(share.value),
        low=radius(share.low),
        high=radius(share.high),
        each=tuple(radius(value) for value in share.each),
    )
