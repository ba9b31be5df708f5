"""Numbers of docs/attribution.md: means over calibration seeds with intervals over prompts, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape import Estimate
from safebasin.landscape.intervals import clustered, wilson

Array = NDArray[np.float64]

LEVEL = 0.95
REPLICATES = 2000
SEED = 0


def letters(cases: Sequence[Mapping[str, Any]], field: str, letter: str) -> Array:
    """(seeds, prompts): 1 where an answer is of this kind, nan where it was not judged."""
    return np.array(
        [[np.nan if one == "?" else float(one == letter) for one in case[field]] for case in cases]
    )


def kl(cases: Sequence[Mapping[str, Any]]) -> Array:
    """(seeds, prompts): KL on everyday prompts in nats a token."""
    return np.array([[np.nan if one is None else one for one in case["kl"]] for case in cases])


def mean(each: Array, limits: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """The mean over seeds and prompts; prompts are resampled together for all seeds."""
    known = each[:, np.isfinite(each).all(0)]
    prompts = known.shape[1]
    if not prompts:
        return Estimate(None, note="nothing was judged")
    if limits == (0.0, 1.0) and np.unique(known).size == 1:
        # All alike: resampling sees no spread, and other prompts may differ.
        return wilson(int(known[0].sum()), prompts, LEVEL)
    drawn = np.random.default_rng(SEED).integers(prompts, size=(REPLICATES, prompts))
    replicates = known[:, drawn].mean(2).T
    low, high = clustered(known.mean(1), replicates, prompts, limits, LEVEL)
    return Estimate(float(known.mean()), low, high, LEVEL, each=tuple(known.mean(1)))


def less(one: Array, other: Array) -> Estimate:
    """The mean of the paired differences, in [-1, 1]."""
    return mean(one - other, (-1.0, 1.0))


def of_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed, or a pair of seeds, with its least and greatest value."""
    return Estimate(float(np.mean(values)), min(values), max(values), each=tuple(values))
