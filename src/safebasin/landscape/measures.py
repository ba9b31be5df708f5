"""What a map of attack success rates (ASR) amounts to: arithmetic on arrays, no sampling error.

An `asr` argument has any leading axes and then one axis of points; its values are in [0, 1] and
never nan. Axis values, widths and radii are in units of the displacement's coefficient alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape.intervals import Array

BROKEN_POINTS = 99.99
"""The published code's threshold for S = S_max, in points of 100."""


def spacing(values: Array) -> Array:
    """How much of an axis each value stands for: (G,), all equal on an even grid, 1 for one."""
    steps = np.diff(values)
    if not len(steps):
        return np.ones(1)
    return np.concatenate((steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]))


def trapezoid(values: Array) -> Array:
    """The trapezoid rule's weights on an axis: (G,), summing to its range (1 for one value)."""
    steps = np.diff(values)
    if not len(steps):
        return np.ones(1)
    return np.concatenate((steps[:1], steps[1:] + steps[:-1], steps[-1:])) / 2


def grid(weigh: Callable[[Array], Array], axes: Sequence[Array]) -> Array:
    """The weights of a grid's points, the last axis fastest: the products of its axes' weights."""
    first, *rest = (weigh(axis) for axis in axes)
    return np.outer(first, rest[0]).ravel() if rest else first


def visage(asr: Array, weights: Array) -> Array:
    """VISAGE in points of 100: E[S_max - S | S < S_max] with S = 100 asr and S_max = 100.

    Peng et al. (2024), Sec. 3: the expectation is uniform over the range, so `weights` (points,)
    are what each point stands for. Where S = S_max everywhere it is undefined and 0 by convention.
    """
    below = (asr < 1.0) * weights
    total = below.sum(-1)
    depth = ((1.0 - asr) * below).sum(-1)
    return 100.0 * np.where(total > 0, depth / np.where(total > 0, total, 1.0), 0.0)


def reference_visage(points: Array) -> Array:
    """The published code's average over lines, bit for bit; `points` (..., G) are S in 0..100.

    It trims the fully broken runs at the ends instead of leaving out every fully broken point,
    and it looks for the ends strictly left and right of the middle index, so a one-point basin
    or an island of refusal gets another number than the definition gives.
    """
    count, middle = points.shape[-1], points.shape[-1] // 2
    broken = points > BROKEN_POINTS
    begins = (broken[..., :-1] & ~broken[..., 1:])[..., : max(middle - 1, 0)]
    ends = (broken[..., 1:] & ~broken[..., :-1])[..., :middle:-1]
    first = np.where(begins.any(-1), _first(begins) + 1, 0)
    last = count - 1 - np.where(ends.any(-1), _first(ends) + 1, 0)
    values = np.empty(first.shape)
    # One mean a stretch: of several lines at once it is the mean of each.
    for i, j in set(zip(first.flat, last.flat, strict=True)):
        alike = (first == i) & (last == j)
        values[alike] = np.mean(100 - points[alike][:, i : j + 1], axis=-1)
    return values


def _first(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where along the last axis the first flag is set; its length where none is."""
    end = np.ones((*flags.shape[:-1], 1), dtype=np.bool_)
    return np.asarray(np.concatenate([flags, end], axis=-1).argmax(-1), dtype=np.intp)


def area(asr: Array, weights: Array) -> Array:
    """The mean of 1 - asr under normalised weights, in [0, 1]: unconditional, unlike VISAGE."""
    return np.asarray((1.0 - asr) @ (weights / weights.sum()), dtype=np.float64)


def crossing(distance: Array, asr: Array, threshold: float, *, reach: bool = False) -> Array:
    """How far out asr first exceeds a threshold (or first reaches it, with `reach`).

    distance: (G,), increasing from 0. Linear between the last point below and the first point
    above; 0 where the first point is above already, infinite where no point is.
    """
    above = asr >= threshold if reach else asr > threshold
    first = above.argmax(-1)
    outer = np.maximum(first, 1)
    inner = outer - 1
    if len(distance) > 1:
        start = np.take_along_axis(asr, inner[..., None], -1)[..., 0]
        rise = np.take_along_axis(asr, outer[..., None], -1)[..., 0] - start
        share = (threshold - start) / np.where(rise > 0, rise, 1.0)
        edge = distance[inner] + share * (distance[outer] - distance[inner])
    else:
        edge = np.zeros(asr.shape[:-1])
    return np.where(above.any(-1), np.where(first == 0, 0.0, edge), np.inf)


def steepness(distance: Array, asr: Array, low: float, high: float) -> Array:
    """The rise of asr per unit alpha from where it leaves `low` to where it reaches `high`.

    nan where the origin is above `low` or where `high` is not reached.
    """
    start = crossing(distance, asr, low)
    end = crossing(distance, asr, high, reach=True)
    defined = (asr[..., 0] <= low) & np.isfinite(end)
    run = np.where(defined, end - np.where(defined, start, 0.0), 1.0)
    return np.where(defined, (high - low) / run, np.nan)


def component(inside: NDArray[np.bool_], origin: tuple[int, int]) -> NDArray[np.bool_]:
    """The cells of (..., X, Y) that a path of neighbouring inside cells joins to the origin."""
    joined = np.zeros_like(inside)
    joined[(..., *origin)] = inside[(..., *origin)]
    size = -1
    while (count := int(joined.sum())) != size:
        size = count
        grown = joined.copy()
        grown[..., 1:, :] |= joined[..., :-1, :]
        grown[..., :-1, :] |= joined[..., 1:, :]
        grown[..., :, 1:] |= joined[..., :, :-1]
        grown[..., :, :-1] |= joined[..., :, 1:]
        joined = grown & inside
    return joined


class Rays:
    """Straight lines from the origin of a two-axis grid to its border."""

    def __init__(self, axes: Sequence[Array], origin: tuple[int, int], count: int = 48) -> None:
        x, y = axes
        half = np.array([np.ptp(x), np.ptp(y)]) / 2
        turns = np.arange(count) * (2 * np.pi / count)
        ways = np.stack((np.cos(turns), np.sin(turns)), -1).round(12) * half
        start = np.array([x[origin[0]], y[origin[1]]])
        bounds = np.where(ways > 0, [x[-1], y[-1]], [x[0], y[0]]) - start
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(ways == 0, np.inf, bounds / ways).min(-1)
        outward = scale > 0
        self.ends: Array = ways[outward] * scale[outward, None]
        self.exits: Array = np.hypot(*self.ends.T)
        self._steps: Array = np.linspace(0, 1, 2 * max(len(x), len(y)) + 1)
        places = start + self._steps[:, None, None] * self.ends
        self._weights = self._bilinear(x, y, places.reshape(-1, 2))

    @staticmethod
    def _bilinear(x: Array, y: Array, places: Array) -> Array:
        """(X Y, places): what each grid point gives to the value at each place."""
        weights = np.zeros((len(x), len(y), len(places)))
        column = np.arange(len(places))
        i = np.clip(np.searchsorted(x, places[:, 0], "right") - 1, 0, len(x) - 2)
        j = np.clip(np.searchsorted(y, places[:, 1], "right") - 1, 0, len(y) - 2)
        u = np.clip((places[:, 0] - x[i]) / (x[i + 1] - x[i]), 0, 1)
        v = np.clip((places[:, 1] - y[j]) / (y[j + 1] - y[j]), 0, 1)
        for di, dj, part in (
            (0, 0, (1 - u) * (1 - v)), (1, 0, u * (1 - v)), (0, 1, (1 - u) * v), (1, 1, u * v),
        ):  # fmt: skip
            weights[i + di, j + dj, column] += part
        return weights.reshape(len(x) * len(y), -1)

    def radii(self, asr: Array, threshold: float) -> Array:
        """How far along each ray asr (..., X Y) stays within a threshold: (..., rays).

        Infinite where a ray leaves the grid before that.
        """
        along = (asr @ self._weights).reshape(*asr.shape[:-1], len(self._steps), -1)
        # Interpolating between equal values may round up.
        edge = crossing(self._steps, np.moveaxis(along, -2, -1), threshold + 1e-9)
        return edge * self.exits
