"""Basin widths and wall sharpness on lines through the origin."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape import measures
from safebasin.landscape.cells import Score
from safebasin.landscape.intervals import LOG_SPREAD, Array, Estimate
from safebasin.landscape.resample import Known, Measure, Sample
from safebasin.landscape.summary import Basin, Sharpness, Side

PLATEAU = 0.99
WALL_TOP = 0.9
NO_ORIGIN = "the grid does not hold the origin"


def basin(sample: Sample, tolerance: float, score: Score) -> Basin:
    """The stretch around the origin where asr <= tolerance."""
    sides = {sign: _side(sample, sign, tolerance, score) for sign in (-1, 1)}
    measured = [sign for sign in sides if sides[sign].width.value is not None]
    if not measured:
        return Basin(tolerance, sides[-1], sides[1], sides[1].width)

    def both(known: Known) -> Measure:
        edges = [_width(sample, sign, known, tolerance) for sign in measured]
        return lambda asr: np.sum([edge(asr) for edge in edges], axis=0)

    limits = (0.0, sum(sides[sign].reach for sign in measured))
    notes = [sides[sign].width.note for sign in measured]
    width = sample.estimate(both, limits, score, notes=notes)
    if any(sides[sign].width.at_least for sign in measured):
        width = dataclasses.replace(width, at_least=True, high=None)
    return Basin(tolerance, sides[-1], sides[1], width)


def sharpness(sample: Sample, tolerance: float, score: Score) -> Sharpness:
    """The slope of each wall from the tolerance up to 0.9.

    Slopes are averaged over directions as logarithms, so that neither the mean nor its interval
    depends on whether a wall is called steep or narrow, and the interval stays above 0.
    """

    def side(sign: int) -> Estimate:
        def measure(known: Known) -> Measure:
            distance, order = _outward(sample, sign, known)
            if len(distance) < 2:
                return lambda asr: np.full(asr.shape[:-1], np.nan)
            return lambda asr: np.log(
                measures.steepness(distance, asr[..., order], tolerance, WALL_TOP)
            )

        logarithm = sample.estimate(
            measure,
            (-np.inf, np.inf),
            score,
            notes=[sample.gaps()],
            undefined="no direction rises from within the tolerance to 0.9 on this side",
            spread=LOG_SPREAD,
        )
        return dataclasses.replace(
            logarithm,
            value=_exp(logarithm.value),
            low=_exp(logarithm.low),
            high=_exp(logarithm.high),
            each=tuple(_exp(value) for value in logarithm.each),
        )

    return Sharpness(side(-1), side(1))


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)


def open_ends(sample: Sample) -> int:
    """How many ends of the lines have an ASR below 0.99, of those outward of the origin."""
    return sum(
        1
        for d, known in enumerate(sample.known)
        for sign in (-1, 1)
        for distance, order in (_outward(sample, sign, known),)
        if len(distance) > 1 and sample.rates("asr")[d, order[-1]] < PLATEAU
    )


def _side(sample: Sample, sign: int, tolerance: float, score: Score) -> Side:
    lines = [_outward(sample, sign, known) for known in sample.known]
    reaches = [float(distance[-1]) for distance, _ in lines if len(distance) > 1]
    if not reaches:
        note = "no point on this side was judged together with the origin"
        if sample.plane.origin is None:
            note = NO_ORIGIN
        return Side(Estimate(None, level=sample.level, note=note), 0.0, 0, len(lines))

    def measure(known: Known) -> Measure:
        return _width(sample, sign, known, tolerance)

    rates = sample.rates(score)
    above = censored = plateaus = 0
    for d, (distance, order) in enumerate(lines):
        if len(distance) > 1:
            asr = rates[d, order]
            above += bool(asr[0] > tolerance)
            censored += bool(np.isinf(measures.crossing(distance, asr, tolerance)))
            plateaus += bool(sample.rates("asr")[d, order[-1]] >= PLATEAU)
    notes = [
        sample.gaps(),
        f"the origin is above the tolerance of {tolerance:g}" if above else "",
        f"{censored} of {len(lines)} directions stay within the tolerance up to the end"
        if censored
        else "",
    ]
    width = sample.estimate(measure, (0.0, max(reaches)), score, notes=notes)
    if censored:
        width = dataclasses.replace(width, at_least=True, high=None)
    edge = _mean_curve_edge(sample, sign, tolerance, score)
    return Side(width, max(reaches), plateaus, len(lines), edge)


def _mean_curve_edge(sample: Sample, sign: int, tolerance: float, score: Score) -> float | None:
    """Where the mean of the directions' curves leaves the tolerance; None where it does not."""
    known: Known = np.asarray(sample.known.any(0))
    mean = np.full(known.shape, np.nan)
    mean[known] = np.nanmean(sample.rates(score)[:, known], axis=0)
    distance, order = _outward(sample, sign, known)
    edge = float(measures.crossing(distance, mean[order], tolerance))
    return edge if math.isfinite(edge) else None


def _width(sample: Sample, sign: int, known: Known, tolerance: float) -> Measure:
    distance, order = _outward(sample, sign, known)
    if len(distance) < 2:
        return lambda asr: np.full(asr.shape[:-1], np.nan)
    return lambda asr: np.minimum(
        measures.crossing(distance, asr[..., order], tolerance), distance[-1]
    )


def _outward(sample: Sample, sign: int, known: Known) -> tuple[Array, NDArray[np.intp]]:
    """Distances from the origin to one side's judged points, the origin first, and their indices.

    Empty where the grid does not hold the origin or nothing was judged there.
    """
    origin = sample.plane.origin
    if origin is None or not known[origin[0]]:
        return np.zeros(0), np.zeros(0, dtype=np.intp)
    distance = sign * sample.axes[0]
    order = np.flatnonzero((distance >= 0) & known)
    order = order[np.argsort(distance[order])]
    return np.abs(distance[order]), order
