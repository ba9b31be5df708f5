"""Shares before and after, on the same prompts: a difference of pairs, not of two samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safebasin.landscape.intervals import Estimate, wilson
from safebasin.study.paired_interval import METHOD, score_interval


@dataclass(frozen=True)
class Paired:
    """How often something happened before and after, among the same prompts.

    before, after  shares in [0, 1] with Wilson's interval, of the n prompts known at both ends
    rise           after - before, in [-1, 1], with Tango's score interval of pairs (1998)
    gained, lost   prompts where it happened after only, or before only
    p              of McNemar's exact test that both are equally likely (1947); None where n is 0
    unpaired       prompts that could not be judged at one end or both, which are left out
    """

    name: str
    n: int
    before: Estimate
    after: Estimate
    rise: Estimate
    gained: int
    lost: int
    p: float | None
    unpaired: int

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "rise": self.rise.to_json(),
            "gained": self.gained,
            "lost": self.lost,
            "mcnemar_p": self.p,
            "unpaired": self.unpaired,
        }


def paired(
    name: str, before: Sequence[bool | None], after: Sequence[bool | None], level: float = 0.95
) -> Paired:
    """Compare two readings of the same prompts in the same order; None is not judged."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    n = len(pairs)
    gained = sum(b and not a for a, b in pairs)
    lost = sum(a and not b for a, b in pairs)
    return Paired(
        name=name,
        n=n,
        before=wilson(sum(a for a, _ in pairs), n, level),
        after=wilson(sum(b for _, b in pairs), n, level),
        rise=_rise(gained, lost, n, level),
        gained=gained,
        lost=lost,
        p=_mcnemar(gained, lost) if n else None,
        unpaired=len(before) - n,
    )


def _mcnemar(gained: int, lost: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def _rise(gained: int, lost: int, n: int, level: float) -> Estimate:
    if n == 0:
        return Estimate(None, level=level, note="no prompt was judged at both ends")
    value = (gained - lost) / n
    if n == 1:
        return Estimate(value, level=level, method="none", note="one prompt gives no interval")
    return Estimate(value, *score_interval(gained, lost, n, level), level, METHOD)
