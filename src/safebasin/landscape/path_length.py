"""How far a path stays within a tolerance, with the grid's error and the prompts' in one interval.

A path's ASR is known at its places only, and there from a sample of prompts. What is certain is
where the whole interval of ASR lies within the tolerance, and where it lies beyond. The length
is between the last place of the first kind before any other, and the first of the second kind.
So few places and few prompts both widen the interval, and prompts that all agree are no
certainty. Between two places nothing is assumed but that ASR does not dip out and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape.intervals import Array, Estimate
from safebasin.landscape.measures import crossing
from safebasin.landscape.survey import Survey

METHOD = "the places where the pointwise interval of ASR is within the tolerance, and beyond it"


@dataclass(frozen=True)
class Stretch:
    """Between which neighbouring places a line first goes beyond the tolerance.

    inside   the last place within it; None where the first is beyond it already
    outside  the first place beyond it; None where the line ends within
    """

    inside: float | None
    outside: float | None

    @property
    def width(self) -> float:
        """0 where there is nothing between them to look at."""
        if self.inside is None or self.outside is None:
            return 0.0
        return self.outside - self.inside

    @property
    def middle(self) -> float:
        """Half-way; ValueError where one of the ends is not known."""
        if self.inside is None or self.outside is None:
            raise ValueError("a stretch without both ends has no middle")
        return round((self.inside + self.outside) / 2, 12)


@dataclass(frozen=True)
class PathEdges:
    """Where ASR goes beyond the tolerance along a line from 0 upward.

    likely    by the estimate of ASR
    earliest  by the upper end of its interval: up to `earliest.inside` it is certainly within
    latest    by the lower end: from `latest.outside` on it is certainly beyond
    """

    likely: Stretch
    earliest: Stretch
    latest: Stretch


def path_edges(survey: Survey, tolerance: float) -> PathEdges:
    """Places where nothing was judged are passed over."""
    places, value, low, high = _judged(survey)
    likely, earliest, latest = (_stretch(places, asr > tolerance) for asr in (value, high, low))
    return PathEdges(likely, earliest, latest)


def path_length(survey: Survey, tolerance: float) -> Estimate:
    """How far from 0 ASR stays within `tolerance`, on the one line of a survey.

    The estimate lies on the straight line between the last place inside and the first outside.
    Its interval reaches from the last place that is certainly inside to the first that is
    certainly outside, so it covers at least those two; None where no place certainly is.
    """
    places, value, _, _ = _judged(survey)
    if len(places) < 2 or places[0] != 0:
        return Estimate(None, level=survey.level, note="the path was not judged from its start on")
    found = path_edges(survey, tolerance)
    length = min(float(crossing(places, value, tolerance)), float(places[-1]))
    note = ""
    if value[0] > tolerance:
        note = f"the origin is above the tolerance of {tolerance:g}"
    elif found.likely.outside is None:
        note = "the path ends within the tolerance"
    return Estimate(
        length,
        found.earliest.inside or 0.0,
        found.latest.outside,
        survey.level,
        METHOD,
        note,
        at_least=found.likely.outside is None,
    )


def _judged(survey: Survey) -> tuple[Array, Array, Array, Array]:
    """Places from 0 upward with ASR and the ends of its interval."""
    [axis] = survey.plane.axes
    places, band = np.array(axis.values), survey.mean_asr()
    kept = (places >= 0) & np.isfinite(band.value)
    return places[kept], band.value[kept], band.low[kept], band.high[kept]


def _stretch(places: Array, beyond: NDArray[np.bool_]) -> Stretch:
    first = int(beyond.argmax()) if beyond.any() else len(places)
    inside = float(places[first - 1]) if first else None
    return Stretch(inside, float(places[first]) if first < len(places) else None)
