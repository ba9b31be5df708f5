"""Several fine-tunes of one model as one: what each changed, fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from safebasin.attribution.random import uniform

Fusion = Literal["average", "task-arithmetic", "ties", "dare"]

WEIGHTS: dict[Fusion, float] = {"average": 1.0, "task-arithmetic": 0.3, "ties": 0.4, "dare": 0.3}
"""What the sum is multiplied by in the experiments of SOMF (arXiv 2405.09055); of an average, 1."""

KEPT = 0.2
DROPPED = 0.2
"""The share of entries that TIES keeps of each fine-tune, and the share that DARE drops."""

Vectors = Mapping[str, Sequence[Tensor]]
"""By parameter name what each fine-tune changed of it, one tensor a fine-tune."""


def fused(vectors: Vectors, how: Fusion, weight: float, seed: int = 0) -> dict[str, Tensor]:
    """One change of each parameter; gradients pass to every entry that is kept.

    average          Σ τ_t / T
    task-arithmetic  λ·Σ τ_t (Ilharco et al., arXiv 2212.04089)
    ties             λ·Σ of the largest 20 % of each τ_t over all parameters, of those that agree
                     with the sign of their sum: the disjoint sum (Yadav et al., arXiv 2306.01708,
                     whose own is the disjoint mean)
    dare             λ·Σ of what is left where 20 % of each τ_t are dropped at random and the rest
                     divided by 0.8 (Yu et al., arXiv 2311.03099)

    What `dare` drops is the same each time, by the seed, where the code of SOMF draws anew in every
    pass; `ties` keeps exactly the share, where that code keeps one entry more.

    One fine-tune is itself, whatever λ; but `dare` drops and multiplies even then, as in the code
    of SOMF.
    """
    count = len(next(iter(vectors.values()), ()))
    if how == "dare":
        return {
            name: weight * torch.stack(_dropped(name, own, seed)).sum(0)
            for name, own in vectors.items()
        }
    if count == 1:
        return {name: own[0] for name, own in vectors.items()}
    if how == "average":
        return {name: weight * torch.stack(list(own)).mean(0) for name, own in vectors.items()}
    if how == "task-arithmetic":
        return {name: weight * torch.stack(list(own)).sum(0) for name, own in vectors.items()}
    least = [_least_kept([own[t].detach() for own in vectors.values()]) for t in range(count)]
    return {name: weight * _disjoint_sum(own, least) for name, own in vectors.items()}


def _dropped(name: str, own: Sequence[Tensor], seed: int) -> list[Tensor]:
    found = []
    for number, one in enumerate(own):
        kept = uniform(seed, f"{name} {number}", tuple(one.shape)) >= DROPPED
        found.append(one * kept.to(one) / (1 - DROPPED))
    return found


def _least_kept(parts: Sequence[Tensor]) -> Tensor:
    """The least magnitude among the largest share of the entries of all parameters."""
    whole = torch.cat([one.abs().flatten() for one in parts])
    rank = max(1, int(KEPT * len(whole)))
    return whole.kthvalue(len(whole) - rank + 1).values


def _disjoint_sum(own: Sequence[Tensor], least: Sequence[Tensor]) -> Tensor:
    trimmed = torch.stack([one * (one.abs() >= at) for one, at in zip(own, least, strict=True)])
    sign = trimmed.detach().sum(0).sign()
    return (trimmed * (trimmed.detach().sign() == sign)).sum(0)
