"""Rank correlation over checkpoints that share base models: coefficient, interval, test.

Checkpoints of one base are alike, so nothing is compared across bases: ranks are taken within each
base, bootstrap samples are drawn within each base, and the permutation test shuffles within each
base. What is said holds for the bases at hand; another base may differ by more than the intervals.

Arguments `first`, `second` and `given` are float arrays without nan, whose last axis (n) is the
checkpoints; `group` is an array (n,) of labels, the base of each checkpoint. Where every base was
aligned in the same ways, `block` (n,) names the way: then ways are resampled and shuffled, each
with its checkpoints of all bases, since they are no independent draws either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Groups = NDArray[Any]

REPLICATES = 4000
PERMUTATIONS = 20_000
LEVEL = 0.95


@dataclass(frozen=True)
class Association:
    """A coefficient in [-1, 1] with its bootstrap interval and its two-sided p-value.

    All are None where one of the two does not vary within any group. `adjusted` is the p-value
    after Holm's correction, where one was made.
    """

    n: int
    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            name: round(value, 5) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def spearman_within(first: Array, second: Array, group: Groups) -> Array:
    """Spearman's coefficient within groups, pooled over them; in [-1, 1].

    sum_g sum_i a_gi b_gi / sqrt(sum a^2 sum b^2), a and b the mid-ranks within the group less
    their mean. With one group it is Spearman's coefficient. nan where a side does not vary.
    """
    return _cosine(_ranks(first, group), _ranks(second, group))


def partial_within(first: Array, second: Array, given: Array, group: Groups) -> Array:
    """The same for what `given` leaves open: of the residuals of both sides' ranks on its ranks."""
    known = _ranks(given, group)
    return _cosine(_residual(_ranks(first, group), known), _residual(_ranks(second, group), known))


def associate(
    first: Array,
    second: Array,
    group: Groups,
    seed: int = 0,
    given: Array | None = None,
    block: Groups | None = None,
) -> Association:
    """The coefficient within groups (with `given`, the partial one), its interval and its test.

    Percentile bootstrap at 95 %, checkpoints resampled within groups; samples in which the
    coefficient is not defined are left out. For the test see `permutation_p`.
    """
    value = _coefficient(first, second, group, given)
    if np.isnan(value):
        return Association(len(first), None)
    drawn = resampled(group, seed, block)
    replicates = _coefficient(
        first[drawn], second[drawn], group, None if given is None else given[drawn]
    )
    low, high = np.nanquantile(replicates, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    p = permutation_p(first, second, group, seed, given, block)
    return Association(len(first), float(value), float(low), float(high), p)


def resampled(group: Groups, seed: int = 0, block: Groups | None = None) -> NDArray[np.intp]:
    """(REPLICATES, n): bootstrap samples of checkpoints, at each place one of its own group.

    With `block` every group draws the same blocks.
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((REPLICATES, len(group)), dtype=np.intp)
    shared = None
    for at in _members(group, block):
        draws = rng.integers(0, len(at), (REPLICATES, len(at))) if shared is None else shared
        shared = None if block is None else draws
        drawn[:, at] = at[draws]
    return drawn


def permutation_p(
    first: Array,
    second: Array,
    group: Groups,
    seed: int = 0,
    given: Array | None = None,
    block: Groups | None = None,
) -> float:
    """The two-sided p-value of the coefficient within groups: (1 + as large) / (1 + PERMUTATIONS).

    Shuffles the centred ranks of `first` within groups and compares absolute values; with `block`
    blocks are shuffled, alike in every group. With `given` the residuals of the ranks are
    shuffled, which is approximate (Kennedy 1995).
    """
    a, b = _ranks(first, group), _ranks(second, group)
    if given is not None:
        known = _ranks(given, group)
        a, b = _residual(a, known), _residual(b, known)
    rng = np.random.default_rng(seed)
    sums = np.zeros(PERMUTATIONS)
    shared = None
    for at in _members(group, block):
        places = np.tile(np.arange(len(at)), (PERMUTATIONS, 1))
        order = rng.permuted(places, axis=1) if shared is None else shared
        shared = None if block is None else order
        sums += a[at][order] @ b[at]
    # Sums of half ranks are exact, but those of residuals may round apart where they are equal.
    as_large = np.count_nonzero(np.abs(sums) >= abs(float(a @ b)) - 1e-9)
    return (1 + as_large) / (1 + PERMUTATIONS)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values, in the order given; a None is no test and stays None."""
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for done, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - done) * p))
        adjusted[i] = largest
    return adjusted


def _coefficient(first: Array, second: Array, group: Groups, given: Array | None) -> Array:
    if given is None:
        return spearman_within(first, second, group)
    return partial_within(first, second, given, group)


def _members(group: Groups, block: Groups | None) -> list[NDArray[np.intp]]:
    """The places of each group; with `block` in the order of their blocks, which all have once."""
    found = [np.flatnonzero(group == name) for name in np.unique(group)]
    if block is None:
        return found
    found = [at[np.argsort(block[at], kind="stable")] for at in found]
    if any(not np.array_equal(block[at], np.unique(block)) for at in found):
        raise ValueError("every group has to have every block once")
    return found


def _ranks(values: Array, group: Groups) -> Array:
    """Mid-ranks within each group along the last axis, less the group's mean."""
    ranks = np.zeros(values.shape)
    for name in np.unique(group):
        at = np.flatnonzero(group == name)
        ranks[..., at] = rankdata(values[..., at], axis=-1) - (len(at) + 1) / 2
    return ranks


def _residual(values: Array, known: Array) -> Array:
    size = (known * known).sum(-1, keepdims=True)
    slope = (values * known).sum(-1, keepdims=True) / np.where(size > 0, size, 1.0)
    residual: Array = values - known * slope
    return residual


def _cosine(a: Array, b: Array) -> Array:
    size = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    defined = size > 1e-9
    found: Array = np.where(defined, (a * b).sum(-1) / np.where(defined, size, 1.0), np.nan)
    return found
