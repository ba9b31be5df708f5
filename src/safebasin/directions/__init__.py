"""Directions in weight space: what the weights are moved along.

A direction is rebuilt from a few JSON values and drawn one parameter at a time. Its tensors are
float32 and scaled already, so a coefficient is all that is missing: W = W0 + Σ c_i·d_i
(Peng et al., NeurIPS 2024, arXiv 2405.17374, Sec. 3).
"""

from __future__ import annotations

from safebasin.directions.adapter import Adapter
from safebasin.directions.base import cosine, digest
from safebasin.directions.combination import (
    Combination,
    Principal,
    Projection,
    gram,
    principal,
    project,
    relative,
)
from safebasin.directions.counter import CounterGaussian
from safebasin.directions.gaussian import Gaussian, random_direction
from safebasin.directions.given import Given
from safebasin.directions.held import Held
from safebasin.directions.kinds import KINDS, rebuild
from safebasin.directions.low_rank import Projected, Truncated
from safebasin.directions.masked import Masked, Pruned
from safebasin.directions.orthogonal import Orthogonal
from safebasin.directions.resident import Resident
from safebasin.directions.restricted import Restricted
from safebasin.directions.scaled import Scaled
from safebasin.directions.toward import Difference, Toward
from safebasin.weights import Direction

__all__ = [
    "KINDS",
    "Adapter",
    "Combination",
    "CounterGaussian",
    "Difference",
    "Direction",
    "Gaussian",
    "Given",
    "Held",
    "Masked",
    "Orthogonal",
    "Principal",
    "Projected",
    "Projection",
    "Pruned",
    "Resident",
    "Restricted",
    "Scaled",
    "Toward",
    "Truncated",
    "cosine",
    "digest",
    "gram",
    "principal",
    "project",
    "random_direction",
    "rebuild",
    "relative",
]


for _one in (
    Adapter, Combination, Difference, Gaussian, Given, Held, Masked, Orthogonal, Projected, Pruned,
    Resident, Restricted, Scaled, Toward, Truncated,
):  # fmt: skip
    KINDS[_one.kind] = _one
