"""The interval of a difference between two shares of the same prompts, without resampling.

Tango's score interval ("Equivalence test and confidence interval for the difference in
proportions for the paired-sample design", Statistics in Medicine 17, 1998). A bootstrap of the
pairs sees no spread where no pair differs and too little where one does, so that with one prompt
in eighty changed its upper end lies below that of eighty prompts of which none is. This one
grows with every prompt that changes, and without any it is Wilson's for a share of none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from safebasin.landscape.intervals import normal_quantile

METHOD = "Tango's score interval of paired shares"
MOST_PROMPTS = 1_000_000
"""No number of prompts above it is advised."""


def score_interval(gained: float, lost: float, n: float, level: float) -> tuple[float, float]:
    """The interval of (gained - lost) / n, within [-1, 1], of n > 0 pairs.

    gained, lost  pairs where it happened after only, or before only; they need not be whole, so
                  that other sample sizes with the same shares can be looked at
    """
    from scipy.optimize import brentq

    z, estimate = normal_quantile(level), (gained - lost) / n

    def beyond(sign: int) -> Callable[[float], float]:
        return lambda delta: _score(gained, lost, n, delta) + sign * z

    low, high = -1.0, 1.0
    if estimate > -1:
        low = _root(brentq, beyond(-1), -1.0, estimate)
    if estimate < 1:
        high = _root(brentq, beyond(1), estimate, 1.0)
    return low, high


def _root(
    solve: Callable[..., float], of: Callable[[float], float], low: float, high: float
) -> float:
    """Where a falling function crosses zero; its ends are limits of it, not values."""
    step = 1e-12
    first, last = low + step, high - step
    if of(first) <= 0:
        return low
    if of(last) >= 0:
        return high
    return float(solve(of, first, last, xtol=1e-12))


def _score(gained: float, lost: float, n: float, delta: float) -> float:
    """How many standard errors the estimate lies above `delta`, were that the truth."""
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * share + delta * (1 - delta))
    difference = gained - lost - n * delta
    if variance <= 0:
        return math.inf if difference > 0 else -math.inf if difference < 0 else 0.0
    return difference / math.sqrt(variance)


def prompts_needed(kept: Callable[[float], bool], n: int) -> int | None:
    """The least number of prompts for which something holds, at least as many as n.

    None where not even MOST_PROMPTS would do. What holds for one number has to hold for more.
    """
    if not kept(MOST_PROMPTS):
        return None
    low, high = max(n, 1), MOST_PROMPTS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle + 1, high)
    return low
