"""How far two judges agree beyond chance: Cohen's kappa and Gwet's AC1, with intervals.

Kappa (Cohen 1960) takes the chance agreement from both judges' own shares and so falls towards 0
where nearly all answers are of one kind, however well the judges agree. AC1 (Gwet 2008) does not,
so both are given.

The same prompts are asked at every point, so verdicts on one prompt hang together: the standard
error is the jackknife's over prompts, and the interval is symmetric on the scale of atanh, which
keeps it inside [-1, 1]. `benchmarks/judge_interval_coverage.py` measures how often it covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safebasin.exchange import OUTCOMES, Outcome
from safebasin.landscape.cells import CODES, REFUSED, has_verdict
from safebasin.landscape.intervals import Array, Estimate, wilson

Codes = NDArray[np.int8]
_EDGE = 1 - 1e-9
_ALIKE = 1e-9
"""Values that differ by less differ by rounding."""


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same answers.

    `both` counts the answers that both judged; `either` those that at least one did not. `share`
    is the raw share of equal verdicts; `kappa` and `ac1` lie in [-1, 1]. `per_outcome` compares
    "this outcome or not" for each outcome that both judges can give.
    """

    first: str
    second: str
    both: int
    either: int
    share: Estimate
    kappa: Estimate
    ac1: Estimate
    per_outcome: Mapping[Outcome, tuple[Estimate, Estimate]]

    def to_json(self) -> dict[str, Any]:
        return {
            "judges": [self.first, self.second],
            "judged_by_both": self.both,
            "not_judged_by_both": self.either,
            "share": self.share.to_json(),
            "kappa": self.kappa.to_json(),
            "ac1": self.ac1.to_json(),
            "per_outcome": {
                outcome: {"kappa": kappa.to_json(), "ac1": ac1.to_json()}
                for outcome, (kappa, ac1) in self.per_outcome.items()
            },
        }


def agreement(
    first: str,
    second: str,
    codes: tuple[Codes, Codes],
    three_way: bool = True,
    level: float = 0.95,
) -> Agreement:
    """How far two judges agree on the same answers.

    codes: of each judge, (points, prompts), as in `safebasin.landscape`. Where not both can tell
    broken text from compliance (`three_way` is False), they are compared on "refused or not".
    """
    a, b = codes
    judged = has_verdict(a) & has_verdict(b)
    both = int(judged.sum())
    outcomes = OUTCOMES if three_way else OUTCOMES[:1]
    per_outcome = {
        outcome: _pair(a == CODES[outcome], b == CODES[outcome], judged, level)
        for outcome in outcomes
    }
    if not three_way:
        a, b = ((one != REFUSED).astype(np.int8) for one in (a, b))
    tables = confusion(a, b, judged, len(OUTCOMES) if three_way else 2)
    return Agreement(
        first,
        second,
        both,
        int(judged.size - both),
        clustered_share(judged & (a == b), judged, level),
        estimate(tables, cohen_kappa, "Cohen's kappa", level),
        estimate(tables, gwet_ac1, "Gwet's AC1", level),
        per_outcome,
    )


def _pair(
    a: NDArray[np.bool_], b: NDArray[np.bool_], judged: NDArray[np.bool_], level: float
) -> tuple[Estimate, Estimate]:
    tables = confusion(a.astype(np.int8), b.astype(np.int8), judged, 2)
    return (
        estimate(tables, cohen_kappa, "Cohen's kappa", level),
        estimate(tables, gwet_ac1, "Gwet's AC1", level),
    )


def confusion(a: Codes, b: Codes, judged: NDArray[np.bool_], kinds: int) -> Array:
    """Counts (prompts, kinds, kinds) of (first judge's code, second judge's code) over points."""
    tables = np.zeros((a.shape[-1], kinds, kinds))
    for row in range(kinds):
        for column in range(kinds):
            tables[:, row, column] = (judged & (a == row) & (b == column)).sum(0)
    return tables


def cohen_kappa(tables: Array) -> Array:
    """Cohen's kappa of confusion tables (..., kinds, kinds); nan where one kind is all there is."""
    total, observed, rows, columns = _margins(tables)
    expected = (rows * columns).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            (total > 0) & (expected < 1), (observed - expected) / (1 - expected), np.nan
        )


def gwet_ac1(tables: Array) -> Array:
    """Gwet's AC1 of confusion tables (..., kinds, kinds); nan where they are empty."""
    total, observed, rows, columns = _margins(tables)
    mean = (rows + columns) / 2
    expected = (mean * (1 - mean)).sum(-1) / (tables.shape[-1] - 1)
    return np.where(total > 0, (observed - expected) / (1 - expected), np.nan)


def _margins(tables: Array) -> tuple[Array, Array, Array, Array]:
    total = tables.sum((-2, -1))
    shares = tables / np.maximum(total, 1)[..., None, None]
    observed = np.trace(shares, axis1=-2, axis2=-1)
    return total, observed, shares.sum(-1), shares.sum(-2)


def clustered_share(
    hits: NDArray[np.bool_], judged: NDArray[np.bool_], level: float = 0.95
) -> Estimate:
    """The share of hits among what was judged, with Wilson's interval.

    hits, judged: (answers a prompt, prompts). The answers to a prompt hang together, so with
    several of them n is the number of independent answers that vary as much as the prompts' means.
    """
    total = int(judged.sum())
    if len(hits) == 1 or total == 0:
        return wilson(int(hits.sum()), total, level)
    from scipy.special import ndtri

    value = float(hits.sum()) / total
    known = judged.any(0)
    residual = (hits - judged * value).sum(0)[known] / total
    count = int(known.sum())
    variance = float((residual**2).sum()) * count / max(1, count - 1)
    # Never more than there are answers, and no fewer than there are prompts.
    effective = value * (1 - value) / variance if variance > 0 else float(count)
    n = min(float(total), max(float(count), effective))
    z = float(ndtri(0.5 + level / 2))
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    low, high = max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half))
    return Estimate(value, low, high, level, "Wilson, clustered by prompts")


def estimate(
    tables: Array, measure: Callable[[Array], Array], name: str, level: float = 0.95
) -> Estimate:
    """A measure of the summed tables with the jackknife's interval over their first axis.

    Where the measure is the same whichever prompt is left out, the jackknife says nothing: the
    interval is an exact one for judges that always agree, or never do, and there is none for
    others.
    """
    from scipy.special import stdtrit

    method = f"{name}, jackknife over prompts"
    whole = tables.sum(0)
    used = tables[tables.sum((-2, -1)) > 0]
    value = float(measure(whole))
    if not math.isfinite(value):
        note = "nothing was judged by both" if whole.sum() == 0 else "one outcome is all there is"
        return Estimate(None, level=level, method=method, note=note)
    count = len(used)
    left_out = measure(whole - used)
    if count < 3 or not np.isfinite(left_out).all():
        note = "too few prompts, or too few of one outcome, for an interval"
        return Estimate(value, level=level, method=method, note=note)
    if np.trace(whole) == whole.sum():
        low = float(measure(_with_unseen(whole, count, level)))
        return Estimate(
            value, low, value, level, f"{name}, exact bound on the disagreements unseen"
        )
    if value <= -_EDGE:  # as far as it goes, where no transformation gives a width
        high = float(measure(_with_unseen(whole, count, level)))
        return Estimate(value, value, high, level, f"{name}, exact bound on the agreements unseen")
    if np.ptp(left_out) < _ALIKE:
        single = (whole.any(0).sum() == 1) or (whole.any(1).sum() == 1)
        note = "one of the two gives one outcome alone" if single else "the prompts are all alike"
        return Estimate(value, level=level, method=method, note=f"{note}, so no interval")
    centre = math.atanh(max(-_EDGE, min(_EDGE, value)))
    moved = np.arctanh(np.clip(left_out, -_EDGE, _EDGE))
    deviation = math.sqrt((count - 1) / count * float(((moved - moved.mean()) ** 2).sum()))
    half = float(stdtrit(count - 1, 0.5 + level / 2)) * deviation
    return Estimate(value, math.tanh(centre - half), math.tanh(centre + half), level, method)


def _with_unseen(table: Array, count: int, level: float) -> Array:
    """A table without disagreements, or without agreements, with the largest unseen share of them.

    None among `count` prompts bounds it by Clopper and Pearson's limit.
    """
    unseen = 1 - ((1 - level) / 2) ** (1 / count)
    off = np.eye(len(table), dtype=bool)
    if np.trace(table):
        off = ~off
    spread = np.where(off, unseen * table.sum() / off.sum(), 0.0)
    mixed: Array = (1 - unseen) * table + spread
    return mixed
