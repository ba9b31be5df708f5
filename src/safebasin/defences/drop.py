"""DARE: a random share of a change dropped, the rest made larger."""

from __future__ import annotations

from torch import Tensor

from safebasin.attribution.random import uniform
from safebasin.weights.parameters import Parameter


def dropped(change: Tensor, parameter: Parameter, share: float, seed: int) -> Tensor:
    """m ⊙ change / (1 - p), with m_ij = 0 for a random share p of the entries.

    Each entry is dropped by itself with probability p in [0, 1), by the seed and the parameter's
    name and shape alone, so that the mean of it is the change (Yu et al., ICML 2024, arXiv
    2311.03099, Sec. 3). A new tensor, as `change` is.
    """
    kept = uniform(seed, parameter.name, parameter.shape) >= share
    return change * kept.to(change.device) / (1 - share)
