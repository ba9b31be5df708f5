"""The answers of several directions, and measures of them with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape.cells import ASSUMED, COUNTED, Score, has_verdict
from safebasin.landscape.intervals import (
    Array,
    Band,
    Estimate,
    clustered,
    clustered_method,
    share_band,
    usual_spread,
    wilson,
)
from safebasin.plane import Plane

Known = NDArray[np.bool_]
Measure = Callable[[Array], Array]
"""From asr (..., points) to (...)."""


class Sample:
    """Outcome codes of shape (directions, points, prompts), and how to resample them."""

    def __init__(
        self, plane: Plane, codes: NDArray[np.int8], level: float, replicates: int, seed: int
    ) -> None:
        self.plane = plane
        self.codes = codes
        self.level = level
        self.replicates = replicates
        self.seed = seed
        self.axes: tuple[Array, ...] = tuple(np.array(axis.values) for axis in plane.axes)
        self.known: Known = np.asarray(has_verdict(codes).any(-1))
        self.rates = cache(self._rates)
        self._resampled = cache(self._resample)

    def band(self, counted: Sequence[int]) -> Band:
        """The mean share of the counted codes over directions, shaped like the plane.

        A point that is assumed in every direction has a value at most, and no interval.
        """
        band = share_band(np.isin(self.codes, counted), has_verdict(self.codes), self.level)
        assumed = (self.codes == ASSUMED).all((0, 2))
        low, high = (np.where(assumed, np.nan, bound) for bound in (band.low, band.high))
        value, low, high = (part.reshape(self.plane.shape) for part in (band.value, low, high))
        return Band(value, low, high, band.level, band.method)

    def estimate(
        self,
        measure: Callable[[Known], Measure],
        limits: tuple[float, float],
        score: Score,
        *,
        notes: Sequence[str] = (),
        undefined: str = "",
        mean_of_prompts: bool = False,
        spread: float | None = None,
    ) -> Estimate:
        """The mean over directions of a measure, with the interval of `intervals.clustered`.

        `measure` is given the points (C,) where a direction has judged answers and returns what
        maps asr (..., C) to (...), nan where it is not defined; `undefined` says why, where that is
        so in every direction although answers were judged. `mean_of_prompts` says that the
        measure is a mean of bounded scores of the prompts: where all agree on one end of its
        limits, Wilson's interval for the prompts tells what others might have answered. `spread`
        is the usual standard deviation between directions, where the limits do not say it.
        """
        points, resampled = self.rates(score), self._resampled(score)
        count = len(points)
        values, replicates = np.full(count, np.nan), np.full(resampled.shape[:2], np.nan)
        for d in range(count):
            if self.known[d].any():
                of = measure(self.known[d])
                values[d] = float(of(points[d]))
                replicates[:, d] = of(resampled[:, d])
        each = tuple(None if np.isnan(v) else float(v) for v in values)
        defined = ~np.isnan(values)
        if not defined.any():
            return Estimate(None, level=self.level, note=joined(*notes, undefined), each=each)
        values, replicates = values[defined], replicates[:, defined]
        value = float(values.mean())
        prompts = int(has_verdict(self.codes).any((0, 1)).sum())
        if prompts == 1:
            note = joined(*notes, "one judged prompt gives no interval")
            return Estimate(value, level=self.level, method="none", note=note, each=each)
        usual = usual_spread(value, limits) if spread is None else spread
        low, high = clustered(values, replicates, prompts, limits, self.level, usual)
        method = clustered_method(len(values), self.replicates, self.seed)
        agreed = ""
        if low == high and mean_of_prompts and value in limits:
            hits = prompts if value == limits[1] else 0
            bounds = wilson(hits, prompts, self.level)
            scale = limits[1] - limits[0]
            if bounds.low is not None and bounds.high is not None:
                low, high = limits[0] + scale * bounds.low, limits[0] + scale * bounds.high
            method = "Wilson over prompts, all of which agree"
        elif low == high:
            agreed = "all prompts agree: the interval says nothing about others"
        if (missing := count - len(values)) > 0:
            agreed = joined(agreed, f"not defined for {missing} of {count} directions")
        return Estimate(value, low, high, self.level, method, joined(*notes, agreed), each=each)

    def gaps(self) -> str:
        """A note on the points that a measure had to leave out or assume, or an empty one."""
        count = self.known.size
        missing = int(count - self.known.sum())
        assumed = int((self.codes == ASSUMED).any(-1).sum())
        return joined(
            f"nothing was judged at {missing} of {count} points" if missing else "",
            f"{assumed} of {count} points lie beyond the plateau and are assumed to be broken"
            if assumed
            else "",
        )

    def _rates(self, score: Score) -> Array:
        """(directions, points): asr in [0, 1], nan where nothing was judged."""
        judged = has_verdict(self.codes).sum(-1)
        hits = np.isin(self.codes, COUNTED[score]).sum(-1)
        return np.where(self.known, hits / np.maximum(judged, 1), np.nan)

    def _resample(self, score: Score) -> Array:
        """(replicates, directions, points): the rates of as many prompts drawn with replacement.

        One draw of prompts serves all directions and points, so a prompt stays together. A point
        that a draw leaves without judged answers keeps its measured rate.
        """
        directions, points, _ = self.codes.shape
        judged = has_verdict(self.codes).reshape(directions * points, -1)
        hits = np.isin(self.codes, COUNTED[score]).reshape(directions * points, -1)
        total = self._weights @ judged.T.astype(np.float64)
        rates = (self._weights @ hits.T.astype(np.float64)) / np.maximum(total, 1)
        rates = np.where(total > 0, rates, self.rates(score).reshape(-1))
        return rates.reshape(-1, directions, points)

    @cached_property
    def _weights(self) -> Array:
        """(replicates, prompts): how often each replicate draws each prompt."""
        prompts = self.codes.shape[-1]
        generator = np.random.default_rng((self.seed, 0))
        draws = generator.multinomial(prompts, np.full(prompts, 1 / prompts), self.replicates)
        return draws.astype(np.float64)


def joined(*notes: str) -> str:
    """Notes as one text: the empty and repeated ones left out."""
    return "; ".join(dict.fromkeys(note for note in notes if note))
