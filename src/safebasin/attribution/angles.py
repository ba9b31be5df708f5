"""The angular gap: how much further apart harmful and other prompts are than others among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from safebasin.attribution.base import NO_ROWS, Gives, LayerScores, made_of, require_rows
from safebasin.errors import DataError, UsageError
from safebasin.landscape import Estimate
from safebasin.landscape.intervals import clustered
from safebasin.subject.rows import Rows
from safebasin.subject.states import last_states
from safebasin.subject.subject import Subject

Array = NDArray[np.float64]
Definition = Literal["paper", "code"]

LEVEL = 0.95
REPLICATES = 2000
SEED = 0
PAIRS = ("two normal", "harmful, normal", "two harmful")
"""The pairs of prompts whose mean cosines are kept."""
METHOD = f"t interval over rows, widened to the percentiles of {REPLICATES} resamples, seed {SEED}"


class AngularGap:
    """Per block, the mean angle between a harmful and a normal prompt less that of two normal ones.

    Of what each block gives at the last token of the prompt (Li et al., Sec. 3.2), in degrees:

    definition="paper"  mean ∠(n, m) - mean ∠(n, n')
    definition="code"   arccos(mean cos(n, m)) - arccos(mean cos(n, n')): not the same, as arccos
                        is not linear

    m are prompts of `safety`, n ≠ n' of `utility`. All pairs are taken, of which the paper draws
    500 of each kind: that is the mean of its draws. The answers play no part. The last block's
    output is taken before the final norm, as that of all others.

    Beside it are kept, per block, the mean cosines of two normal prompts, of a harmful and a normal
    one, and of two harmful ones, which the paper draws. The intervals hold other prompts: rows are
    resampled, with all of their pairs at once. A gap is
    no sign of alignment by itself: models that never were aligned have one, too, so hold it
    against the base's.
    """

    kind: ClassVar[str] = "angular-gap"
    reference: ClassVar[str] = "Li et al., ICLR 2025, arXiv 2408.17003, Sec. 3.2"
    gives: ClassVar[Gives] = "layers"

    def __init__(self, definition: Definition = "paper") -> None:
        if definition not in ("paper", "code"):
            raise UsageError(
                f"The angular gap has no definition '{definition}'.", "Give paper or code."
            )
        self.definition: Definition = definition

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "definition": self.definition}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> LayerScores:
        """Raises DataError for fewer than two rows of either."""
        require_rows(safety, utility, prompts=True)
        for rows, what in ((safety, "safety"), (utility, "utility")):
            if len(rows) < 2:
                raise DataError(
                    f"The angular gap needs two rows of {what} or more, not {len(rows)}.",
                    f"Give at least two with --{what}.",
                )
        harmful, normal = (last_states(subject, rows.rows).numpy() for rows in (safety, utility))
        values = tuple(
            gap(normal[:, block], harmful[:, block], self.definition)
            for block in range(normal.shape[1])
        )
        each = [cosines(normal[:, b], harmful[:, b]) for b in range(normal.shape[1])]
        curves = {pair: tuple(one[pair] for one in each) for pair in PAIRS}
        others = {"name": utility.name, "sha256": utility.sha256, "n": len(utility)}
        found_by = {**made_of(self, subject, safety), "others": others}
        return LayerScores(self.kind, values, "degrees", found_by, curves)


def gap(normal: Array, harmful: Array, definition: Definition = "paper") -> Estimate:
    """The angular gap of states [rows, width] of two rows or more each, in degrees."""
    units = [_units(one) for one in (normal, harmful)]
    within, between = (units[0] @ other.T for other in units)
    if definition == "paper":
        within, between = (_degrees(one) for one in (within, between))

    def of(n: Array, m: Array) -> Array:
        apart, among = _apart(n, m, between), _among(n, within)
        return apart - among if definition == "paper" else _degrees(apart) - _degrees(among)

    return _estimated(of, len(normal), len(harmful), (-180.0, 180.0))


def cosines(normal: Array, harmful: Array) -> dict[str, Estimate]:
    """The mean cosine of each kind of pair, of states [rows, width] of two rows or more each."""
    n, m = (_units(one) for one in (normal, harmful))
    means: dict[str, Callable[[Array, Array], Array]] = dict(
        zip(
            PAIRS,
            (
                lambda i, _: _among(i, n @ n.T),
                lambda i, j: _apart(i, j, n @ m.T),
                lambda _, j: _among(j, m @ m.T),
            ),
            strict=True,
        )
    )
    return {
        pair: _estimated(of, len(normal), len(harmful), (-1.0, 1.0)) for pair, of in means.items()
    }


def _estimated(
    of: Callable[[Array, Array], Array], normal: int, harmful: int, limits: tuple[float, float]
) -> Estimate:
    """Of `of` [B], given how many copies of each row there are: n (B, normal), m (B, harmful)."""
    generator = np.random.default_rng(SEED)
    n, m = (
        generator.multinomial(rows, np.full(rows, 1 / rows), REPLICATES).astype(float)
        for rows in (normal, harmful)
    )
    value, replicates = of(np.ones((1, normal)), np.ones((1, harmful))), of(n, m)
    low, high = clustered(value, replicates[:, None], min(normal, harmful), limits, LEVEL)
    return Estimate(float(value[0]), low, high, LEVEL, METHOD)


def _apart(n: Array, m: Array, between: Array) -> Array:
    """(B,): the mean over pairs of one of n and one of m."""
    found: Array = ((n @ between) * m).sum(1) / (n.sum(1) * m.sum(1))
    return found


def _among(n: Array, within: Array) -> Array:
    """(B,): the mean over pairs of two of n.

    Pairs of a row with its own copy do not count, or resampling would bring prompts together; nan
    where there are no others.
    """
    others = within - np.diag(np.diag(within))
    pairs = n.sum(1) ** 2 - (n**2).sum(1)
    among = ((n @ others) * n).sum(1)
    return np.where(pairs > 0, among / np.maximum(pairs, 1), np.nan)


def _units(states: Array) -> Array:
    found: Array = states / np.linalg.norm(states, axis=1, keepdims=True)
    return found


def _degrees(cosine: Array) -> Array:
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
