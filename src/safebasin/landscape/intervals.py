"""Estimates with intervals: Wilson's for one share, clustered ones for means over directions.

Two things vary in a scan: which prompts were asked and which directions were drawn. The same
prompts are asked at every point, so they are resampled together, never answer by answer.

A mean over directions has a t interval whose variance is that of its prompts plus that of its
directions (Cameron, Gelbach and Miller 2011). Two or three directions hardly tell how much
directions differ: by chance they are alike or far apart, and an interval from them alone is ten
times longer in one scan than in the next. So their variance is moderated (Smyth 2004): it counts
as one more direction that differs as directions usually do. `usual_spread` says how much that is;
`benchmarks/direction_spread.py` measures it, `benchmarks/interval_coverage.py` how often the
intervals hold the truth, and docs/validation.md shows both. With one direction nothing is known
of others, and the interval is that of its prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPREAD = 1 / 8
"""How much directions usually differ: their standard deviation as a share of the geometric mean of
a measure's distances from its two limits."""
LOG_SPREAD = 1 / 4
"""The same for the logarithm of a measure that has no upper limit."""
POINT_SPREAD = 1 / 4
"""As `SPREAD`, for the ASR at one point, where directions differ more than over a whole line."""
PRIOR = 1
"""How many directions the usual spread is worth beside those that were measured."""


@dataclass(frozen=True)
class Estimate:
    """A number, its interval at `level`, how both were made, and what to know about them.

    `value` is None where the measure is not defined, `low` or `high` where that bound is not
    known. `at_least` marks a lower bound: the true value may lie beyond the measured range.
    `each` holds the value of every direction that `value` is the mean of.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    note: str = ""
    at_least: bool = False
    each: tuple[float | None, ...] = ()

    def text(self, spec: str = ".2f") -> str:
        """For people: `0.31 (0.27 to 0.35)`, `at least 0.50`, or `not defined`."""
        if self.value is None:
            return "not defined"
        value = f"{'at least ' if self.at_least else ''}{self.value:{spec}}"
        if self.low is None:
            return value
        high = f" to {self.high:{spec}}" if self.high is not None else " or more"
        return f"{value} ({self.low:{spec}}{high})"

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "level": self.level,
            "at_least": self.at_least,
            "per_direction": list(self.each),
            "method": self.method,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, value: Any) -> Estimate:
        """What `to_json` gave; ValueError, KeyError or TypeError where it is no such value."""
        known = (value["value"], value["low"], value["high"], *value["per_direction"])
        found, low, high, *each = (None if one is None else float(one) for one in known)
        return cls(
            found, low, high, float(value["level"]), str(value["method"]), str(value["note"]),
            value["at_least"] is True, tuple(each),
        )  # fmt: skip


def normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def _t_quantile(level: float, freedom: Array) -> Array:
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, 0.5 + level / 2), dtype=np.float64)


def _wilson_bounds(share: Array, n: Array, z: Array) -> tuple[Array, Array]:
    """Wilson's score interval (1927): centre (p + z^2/2n) / (1 + z^2/n). Holds p always."""
    shrink = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


def wilson(hits: int, n: int, level: float = 0.95) -> Estimate:
    """The share hits / n in [0, 1] with Wilson's score interval; None where n is 0."""
    if n == 0:
        return Estimate(None, level=level, method="Wilson", note="nothing was judged")
    share, size = np.array(hits / n), np.array(float(n))
    low, high = _wilson_bounds(share, size, np.array(normal_quantile(level)))
    return Estimate(hits / n, float(low), float(high), level, "Wilson")


@dataclass(frozen=True)
class Band:
    """A mean curve or surface over directions: arrays of the plane's shape, nan where unknown."""

    value: Array
    low: Array
    high: Array
    level: float
    method: str


def share_band(hits: NDArray[np.bool_], judged: NDArray[np.bool_], level: float) -> Band:
    """The mean share over directions with a pointwise interval.

    hits, judged: (directions, points, prompts). Shares are in [0, 1]. The variance of the mean
    is the clusters' by prompt plus by direction less their overlap (Cameron, Gelbach and Miller
    2011), and sets the effective n of Wilson's interval; that by direction is moderated by
    `POINT_SPREAD`. A point where directions do not differ at all, such as the origin that they
    share, counts once: its interval is Wilson's for the prompts.
    """
    n = judged.sum(-1)
    known = n > 0
    directions = known.sum(0)
    divisor = np.maximum(directions, 1)
    share = np.where(known, hits.sum(-1) / np.maximum(n, 1), 0.0)
    mean = share.sum(0) / divisor
    residual = (hits - judged * share[..., None]) / np.maximum(n, 1)[..., None]
    by_prompt = ((residual.sum(0) / divisor[:, None]) ** 2).sum(-1)
    overlap = (residual**2).sum((0, 2)) / divisor**2
    deviation = np.where(known, share - mean, 0.0)
    seen = (deviation**2).sum(0)
    drawn = seen > 0
    usual = PRIOR * POINT_SPREAD**2 * mean * (1 - mean)
    by_direction = np.where(drawn, (usual + seen) / (PRIOR + divisor - 1) / divisor, 0.0)
    variance = np.maximum(np.maximum(by_prompt, by_direction), by_prompt + by_direction - overlap)
    distinct = judged.any(0).sum(-1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(variance > 0, mean * (1 - mean) / variance, np.maximum(distinct, 1))
        # Prompts are many, directions are few: only the latter cost degrees of freedom.
        freedom = variance**2 * (PRIOR + directions - 1) / by_direction**2
    z = np.full(mean.shape, normal_quantile(level))
    drawn &= np.isfinite(freedom)
    z[drawn] = _t_quantile(level, freedom[drawn])
    low, high = _wilson_bounds(mean, np.minimum(effective, np.maximum(n.sum(0), 1)), z)
    value, low, high = (np.where(directions > 0, a, np.nan) for a in (mean, low, high))
    cluster = "directions and prompts" if len(hits) > 1 else "prompts"
    return Band(value, low, high, level, f"pointwise Wilson, clustered by {cluster}")


def usual_spread(value: float, limits: tuple[float, float]) -> float:
    """The standard deviation between directions that is usual for a measure of this value.

    In the measure's units, and 0 at its limits, where directions cannot differ.
    """
    below, above = value - limits[0], limits[1] - value
    return SPREAD * math.sqrt(max(0.0, below) * max(0.0, above))


def clustered(
    values: Array,
    replicates: Array,
    prompts: int,
    limits: tuple[float, float],
    level: float,
    spread: float | None = None,
) -> tuple[float, float]:
    """The interval of the mean over directions of a measure; the module says why this one.

    values: (D,), the measure of each direction. replicates: (B, D), the same after resampling
    the prompts, together at all points and directions; nan where it is not defined. spread: the
    standard deviation between directions that is usual, which counts as one more direction; None
    where none is known, and the directions speak for themselves.

    The t interval has variance V_prompts + V_directions - V_both and Satterthwaite's degrees of
    freedom. It is widened to the percentiles of the replicates' means, which know of skewness and
    of limits, and cut to `limits`.
    """
    estimate, count = float(values.mean()), len(values)
    filled = np.where(np.isnan(replicates), values, replicates)
    means = filled.mean(1)
    by_prompt = float(means.var())
    by_direction, freedom = between(values, spread, still=by_prompt == 0)
    deviation = filled - means[:, None]
    both = float(deviation.var(axis=0).sum()) / (count * (count - 1)) if count > 1 else 0.0
    variance = max(by_prompt + by_direction - both, by_prompt, by_direction)
    if variance == 0:
        return estimate, estimate
    within = by_prompt**2 / max(prompts - 1, 1)
    satterthwaite = variance**2 / (by_direction**2 / freedom + within)
    quantile = float(_t_quantile(level, np.array(max(satterthwaite, 1.0))))
    half = quantile * math.sqrt(variance)
    percentile = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    low = min(estimate - half, float(percentile[0]))
    high = max(estimate + half, float(percentile[1]))
    return max(low, limits[0]), min(high, limits[1])


def between(values: Array, spread: float | None, *, still: bool = False) -> tuple[float, int]:
    """The variance that directions give to their mean, and its degrees of freedom.

    `still` says that the prompts do not matter: where no direction differs either, there is
    nothing to tell how far others would.
    """
    count = len(values)
    if count < 2:
        return 0.0, 1
    seen = float(values.var(ddof=1))
    if spread is None or (still and seen == 0):
        return seen / count, count - 1
    return moderated(seen, count, spread) / count, PRIOR + count - 1


def moderated(variance: float, directions: int, spread: float) -> float:
    """A variance between so many directions with the usual one as one direction's more."""
    return (PRIOR * spread**2 + (directions - 1) * variance) / (PRIOR + directions - 1)


def clustered_method(directions: int, replicates: int, seed: int, what: str = "prompts") -> str:
    """How `clustered` made an interval with a usual spread, in words."""
    drawn = f"the percentiles of {replicates} resamples of {what}, seed {seed}"
    if directions > 1:
        return (
            f"t interval over directions and {what}, the directions' variance moderated by one "
            f"direction of the usual spread; widened to {drawn}"
        )
    return f"t interval over {what} (one direction), widened to {drawn}"
