"""Directions made of the subspaces that ActSVD locates, and how much two of them share."""

from __future__ import annotations

import torch
from torch import Tensor

from safebasin.attribution.random import normal
from safebasin.directions import Projected, Pruned
from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.masks import Mask
from safebasin.weights.subspaces import HeldSubspace


def removed(subspace: HeldSubspace, weights: Weights) -> Projected:
    """-Π·W: at coefficient 1 the model is W - Π·W, its top ranks removed (Wei et al., Sec. 2.1)."""
    return Projected(_zeroed(subspace, weights), subspace, name=f"removed-{subspace.name}")


def kept(subspace: HeldSubspace, weights: Weights) -> Projected:
    """Π·W - W: at coefficient 1 the model is Π·W, all but these ranks removed."""
    return Projected(
        _zeroed(subspace, weights), subspace, complement=True, name=f"kept-{subspace.name}"
    )


def isolated(safety: HeldSubspace, utility: HeldSubspace, weights: Weights) -> Projected:
    """-ΔW with ΔW = (I - Π_u)·Π_s·W: what safety needs and utility does not (Wei et al., Sec. 2.2).

    At coefficient 1 the model is W - ΔW, and Π_u·W is as it was. With the two exchanged it is the
    paper's reverse: what utility needs and safety does not. Parameters of which `safety` does not
    speak stay; raises DirectionError where `utility` does not speak of one that it does.
    """
    if missing := sorted(safety.bases.keys() - utility.bases.keys()):
        raise DirectionError(
            f"'{utility.name}' has no basis for '{missing[0]}', as '{safety.name}' has.",
            "Give subspaces of the same parameters.",
        )
    name = f"{safety.name}-without-{utility.name}"
    return Projected(removed(safety, weights), utility, complement=True, name=name)


def random_subspace_like(subspace: HeldSubspace, seed: int = 0) -> HeldSubspace:
    """Uniformly drawn subspaces of the same ranks, from a seed: the control of every other."""
    drawn = {
        name: torch.linalg.qr(normal(seed, name, tuple(basis.shape)).double())[0].float()
        for name, basis in subspace.bases.items()
    }
    return HeldSubspace(f"random-{seed}-like-{subspace.name}", subspace.side, drawn)


def similarity(a: HeldSubspace, b: HeldSubspace) -> dict[str, float | None]:
    """‖A_rᵀ·B_r‖_F² / min(rank A, rank B) of each parameter that both speak of, in [0, 1].

    1 where one contains the other, 0 where they are orthogonal; of random ones of rank r in d
    dimensions r/d is expected (Wei et al., Sec. 4.3, after Hu et al., arXiv 2106.09685, App. G).
    The mean over matrices that a parameter stacks; None where one is empty.
    """
    found: dict[str, float | None] = {}
    for name in a.bases:
        if name in b.bases:
            one, two = (own.bases[name].double() for own in (a, b))
            least = min(one.shape[-1], two.shape[-1])
            shared: Tensor = (one.mT @ two.to(one.device)).square().sum((-2, -1)) / max(1, least)
            found[name] = float(shared.mean()) if least else None
    return found


def _zeroed(subspace: HeldSubspace, weights: Weights) -> Pruned:
    """-W of the parameters of which the subspace speaks."""
    own = [one for one in weights.parameters if subspace.basis(one) is not None]
    whole = {one.name: torch.ones(one.shape, dtype=torch.bool) for one in own}
    return Pruned(Mask(whole, name="all"), weights)
