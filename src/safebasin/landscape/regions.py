"""The safe region of a plane of two axes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from safebasin.landscape import measures
from safebasin.landscape.cells import Score
from safebasin.landscape.intervals import Array, Estimate
from safebasin.landscape.lines import NO_ORIGIN
from safebasin.landscape.resample import Known, Measure, Sample
from safebasin.landscape.summary import Region

BATCH = 500  # replicates traced along their rays at a time, to bound the memory


def region(sample: Sample, tolerance: float, score: Score) -> Region:
    """The points joined to the origin within the tolerance; unknown points count as outside."""
    origin, shape = sample.plane.origin, sample.plane.shape
    if origin is None:
        absent = Estimate(None, level=sample.level, note=NO_ORIGIN)
        return Region(tolerance, absent, absent, absent)
    home = (origin[0], origin[1])
    weights = measures.grid(measures.spacing, sample.axes)
    total = float(weights.sum())

    def closed(asr: Array) -> Array:
        return np.where(np.isnan(asr), 1.0, asr)

    def share(asr: Array) -> Array:
        inside = (closed(asr) <= tolerance).reshape(*asr.shape[:-1], *shape)
        joined = measures.component(inside, home).reshape(asr.shape)
        return np.asarray(joined @ weights, dtype=np.float64) / total

    measured = sample.rates(score)
    rates = closed(measured)
    above = measured.reshape(-1, *shape)[:, home[0], home[1]] > tolerance
    notes = [
        sample.gaps(),
        f"the origin is above the tolerance of {tolerance:g}" if above.any() else "",
    ]
    area = sample.estimate(lambda _: share, (0.0, 1.0), score, notes=notes)
    if min(shape) < 2:
        flat = Estimate(None, level=sample.level, note="an axis has one value only")
        return Region(tolerance, area, flat, flat)

    def equivalent(_: Known) -> Measure:
        return lambda asr: np.sqrt(share(asr) * total / math.pi)

    rays = measures.Rays(sample.axes, home)

    def shortest(asr: Array) -> Array:
        rows = closed(asr).reshape(-1, weights.size)
        batches = np.array_split(rows, math.ceil(len(rows) / BATCH))
        radii = [np.minimum(rays.radii(b, tolerance), rays.exits).min(-1) for b in batches]
        return np.concatenate(radii).reshape(asr.shape[:-1])

    radius = sample.estimate(equivalent, (0.0, math.sqrt(total / math.pi)), score, notes=notes)
    crossed = rays.radii(rates, tolerance)
    nearest = np.minimum(crossed, rays.exits).argmin(-1)
    open_ways = np.isinf(np.take_along_axis(crossed, nearest[:, None], -1)).any()
    inner_notes = [*notes, "the region reaches the border of the grid" if open_ways else ""]
    limits = (0.0, float(rays.exits.max()))
    inner = sample.estimate(lambda _: shortest, limits, score, notes=inner_notes)
    if open_ways:
        inner = dataclasses.replace(inner, at_least=True, high=None)
    return Region(tolerance, area, radius, inner)
