"""What a fine-tune did to the weights, block by block; how much of it lies where safety does."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from safebasin.attribution.found import Ranks, UnitSet, WeightSet, read_located
from safebasin.attribution.random import random_like
from safebasin.attribution.ranks import random_subspace_like
from safebasin.checkpoint import Checkpoint
from safebasin.compare.distances import where_of
from safebasin.directions import Direction, Masked, Projected
from safebasin.errors import DirectionError, RunError
from safebasin.terminal import printable
from safebasin.weights import Weights
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter
from safebasin.weights.subspaces import HeldSubspace
from safebasin.weights.sums import inner
from safebasin.weights.tensor_files import read_tensors

LOG = logging.getLogger(__name__)

DRAWN = 5
"""How many random sets the located one is held against, seeds 0 to 4."""


@dataclass(frozen=True)
class Block:
    """What was done to one block, or one table.

    tensors, changed   how many there are, and how many differ at all
    norm               ‖θ' - θ‖ over them, an absolute length
    effective_rank     exp(-Σ p·log p) with p = σ / Σσ of the singular values of each changed matrix
                       (Roy and Vetterli, 2007), the mean over them; None where none is a matrix
    """

    where: str
    tensors: int
    changed: int
    norm: float
    effective_rank: float | None


@dataclass(frozen=True)
class Inside:
    """Which share of ‖θ' - θ‖² lies in what an attribution located.

    Of the parameters that it speaks of. `random` are the same of random sets with as many weights
    of every tensor, or of random subspaces of the same ranks, one a seed; `spoken` is the share of
    the whole change that these parameters have. None where they did not change.
    """

    located: str
    share: float | None
    random: tuple[float, ...]
    spoken: float | None


@dataclass(frozen=True)
class Forensics:
    """Blocks in the model's order, and the share within a located set."""

    blocks: tuple[Block, ...]
    inside: Inside

    def to_json(self) -> dict[str, Any]:
        blocks = [asdict(one) for one in self.blocks]
        return {"blocks": blocks, "inside": {**asdict(self.inside), "random_seeds": DRAWN}}


def located_in(folder: Path, base: Checkpoint | None = None) -> Mask | HeldSubspace:
    """The set of weights, or the subspace, in the folder of an attribution of the base.

    Raises RunError where it holds none of either, was interrupted, or is of another model.
    """
    known = read_located(folder)
    shown = printable(str(folder))
    if known is None:
        raise RunError(
            f"The attribution in {shown} was interrupted.", "Run its command again; it goes on."
        )
    model = known.record["identity"]["model"]
    if base is not None and model.get("fingerprint") != base.fingerprint():
        raise RunError(
            f"The attribution in {shown} is of {printable(str(model['name']))}, not of "
            f"{printable(base.name)}.",
            "Give an attribution of the base that is compared.",
        )
    if isinstance(known.found, WeightSet | UnitSet):
        return Mask.read(folder / "mask.safetensors", name=folder.name)
    if isinstance(known.found, Ranks):
        path = folder / "safety.safetensors"
        return HeldSubspace(folder.name, "output", read_tensors(path, f"the subspace '{path}'"))
    raise RunError(
        f"The attribution in {shown} located no weights and no subspace.",
        "Give one of snip, wanda, units or actsvd.",
    )


def forensics(direction: Direction, weights: Weights, located: Mask | HeldSubspace) -> Forensics:
    """Hold a change against what was located. Every matrix is decomposed once: that takes time.

    Raises DirectionError where what was located belongs to another model.
    """
    LOG.info("decomposing what the fine-tune changed")
    require_own(located, weights)
    return Forensics(tuple(_blocks(direction, weights)), inside(direction, weights, located))


def require_own(located: Mask | HeldSubspace, weights: Weights) -> None:
    """Raise DirectionError where what was located belongs to another model."""
    if isinstance(located, Mask):
        spoken = [one for one in weights.parameters if located.tensor(one) is not None]
    else:
        spoken = [one for one in weights.parameters if located.basis(one) is not None]
    if not spoken:
        raise DirectionError(
            f"'{located.name}' speaks of no weight of this model.",
            "Give an attribution of the base that is compared.",
        )


def inside(direction: Direction, weights: Weights, located: Mask | HeldSubspace) -> Inside:
    """The share of the change in what was located, and in random sets of the same size."""
    whole = _square(direction, weights)
    if isinstance(located, Mask):
        own = {key: torch.ones_like(one) for key, one in located.tensors.items()}
        spoken = _square(Masked(direction, Mask(own)), weights)
        parts = [
            _square(Masked(direction, one), weights)
            for one in (located, *(random_like(located, seed) for seed in range(DRAWN)))
        ]
    else:
        # d = U·Uᵀ·d + the rest, so what the subspace speaks of is what both parts have there.
        names = {p.name for p in weights.parameters if located.basis(p) is not None}
        spoken = _square(direction, weights, names)
        drawn = (random_subspace_like(located, seed) for seed in range(DRAWN))
        parts = [_square(Projected(direction, one), weights, names) for one in (located, *drawn)]
    if not spoken:
        return Inside(located.name, None, (), 0.0 if whole else None)
    share, *random = (part / spoken for part in parts)
    return Inside(located.name, share, tuple(random), spoken / whole)


def _blocks(direction: Direction, weights: Weights) -> Iterator[Block]:
    parts: dict[str, list[tuple[float, float | None]]] = {}
    for parameter in weights.parameters:
        step = direction.tensor(parameter)
        square = 0.0 if step is None else inner(step, step)
        rank = _effective_rank(parameter, step) if step is not None and square else None
        parts.setdefault(where_of(parameter), []).append((square, rank))
    for where, found in parts.items():
        ranks = [rank for _, rank in found if rank is not None]
        yield Block(
            where,
            len(found),
            sum(square > 0 for square, _ in found),
            math.sqrt(math.fsum(square for square, _ in found)),
            math.fsum(ranks) / len(ranks) if ranks else None,
        )


def _effective_rank(parameter: Parameter, step: Tensor) -> float | None:
    if len(parameter.matrix.shape) < 2:
        return None
    ranks = []
    for one in parameter.split(step):
        values = torch.linalg.svdvals(one.flatten(1).double())
        if bool(values.any()):
            share = values[values > 0] / values.sum()
            ranks.append(float(torch.exp(-(share * share.log()).sum())))
    return math.fsum(ranks) / len(ranks)


def _square(direction: Direction, weights: Weights, names: set[str] | None = None) -> float:
    """‖d‖² over the weights, or over those of some names."""
    found = []
    for parameter in weights.parameters:
        step = direction.tensor(parameter) if names is None or parameter.name in names else None
        if step is not None:
            found.append(inner(step, step))
    return math.fsum(found)
