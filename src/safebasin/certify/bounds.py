"""Exact statements about the neighbourhood of a model, from random displacements of one size.

With N independent displacements of which k leave the model safe, Clopper and Pearson (1934) bound
the share p of safe neighbours from below. Randomised smoothing (Cohen et al. 2019) turns that into
a radius: a model shifted by delta, which is at most r noise standard deviations long, has at least
a share Phi(Phi^-1(p) - r) of safe neighbours. Chen et al. (2025, arXiv 2505.17646) use it in weight
space, where it is very conservative: the noise is long and a standard deviation of one weight is
short. The theorem is one of Gaussian noise; ASSUMPTIONS says how far it holds for the scaled one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from safebasin.errors import UsageError
from safebasin.landscape.intervals import Estimate

ASSUMPTIONS = (
    "the displacements are independent Gaussian ones, each tensor's noise scaled to the norm alpha "
    "times the tensor's own, so that the noise of a weight has sigma = alpha |W| / sqrt(n); with "
    "--normalise row the same of each row",
    "noise scaled to an exact norm lies on a sphere, and the theorem is one of Gaussian noise. The "
    "radius holds only as far as a Gaussian in n dimensions has nearly constant norm: it varies by "
    "1 part in sqrt(2 n)",
    "a neighbour is safe where its ASR on the asked prompts, by the judge named, is within the "
    "tolerance; unjudged and unmeasured answers count as attack successes",
    "it says nothing of a shift longer than the radius, nor of a single displaced model: only of "
    "the share of safe ones among its neighbours",
    "each bound holds at its confidence by itself. Choosing the best of several afterwards is not "
    "covered",
)


@dataclass(frozen=True)
class Certificate:
    """What N displacements of relative size `alpha` prove at one confidence.

    share   the share of safe neighbours with its one-sided lower bound (`low`)
    radius  how far the model may shift, in noise standard deviations of the whole vector, for at
            least `share_kept` of its new neighbours to be safe; 0 where nothing follows
    shift   the same as a relative norm: every tensor may move by this share of its own norm
    """

    alpha: float
    directions: int
    safe: int
    share: Estimate
    share_kept: float
    radius: float
    shift: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "directions": self.directions,
            "safe": self.safe,
            "share_safe": self.share.to_json(),
            "share_kept": self.share_kept,
            "radius_sigma": self.radius,
            "relative_shift": self.shift,
        }


def lower_bound(safe: int, directions: int, confidence: float = 0.95) -> Estimate:
    """The share safe / directions with Clopper and Pearson's one-sided lower bound."""
    from scipy.special import betaincinv

    if not 0 <= safe <= directions or not 0 < confidence < 1:
        raise UsageError(
            f"{safe} of {directions} at a confidence of {confidence:g} cannot be meant.",
            "Give counts from 0 up and a confidence between 0 and 1.",
        )
    method = "Clopper-Pearson, one-sided"
    if directions == 0:
        return Estimate(None, level=confidence, method=method, note="no displacement")
    low = 0.0 if safe == 0 else float(betaincinv(safe, directions - safe + 1, 1 - confidence))
    return Estimate(safe / directions, low, 1.0, confidence, method)


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> Estimate:
    """The share hits / n with the exact two-sided interval, which covers at least `level`."""
    if n == 0:
        return Estimate(None, level=level, method="Clopper-Pearson", note="nothing was judged")
    tail = (1 + level) / 2
    low = lower_bound(hits, n, tail).low
    other = lower_bound(n - hits, n, tail).low or 0.0
    return Estimate(hits / n, low, 1 - other, level, "Clopper-Pearson")


def certify(
    alpha: float,
    safe: int,
    directions: int,
    weights: int | None = None,
    confidence: float = 0.95,
    share_kept: float = 0.5,
) -> Certificate:
    """The certificate of `safe` among `directions` displacements of relative size `alpha`.

    weights: how many weights are displaced, which turns the radius into a relative shift.
    share_kept: the share of safe neighbours that is to remain, in (0, 1).
    """
    from scipy.special import ndtri

    if not 0 < share_kept < 1:
        raise UsageError(f"A share of {share_kept:g} is to be kept.", "Give one between 0 and 1.")
    share = lower_bound(safe, directions, confidence)
    low = share.low or 0.0
    radius = max(0.0, float(ndtri(low) - ndtri(share_kept))) if low > 0 else 0.0
    shift = None if weights is None else abs(alpha) * radius / math.sqrt(weights)
    return Certificate(alpha, directions, safe, share, share_kept, radius, shift)


def directions_needed(share_kept: float = 0.5, confidence: float = 0.95) -> int:
    """How many displacements, all of them safe, give a radius above 0."""
    return math.floor(math.log(1 - confidence) / math.log(share_kept)) + 1
