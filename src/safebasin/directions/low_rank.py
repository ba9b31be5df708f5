"""Directions within a subspace of what matrices take or give, and directions of low rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.directions.kinds import rebuild
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.subspaces import HeldSubspace


class Projected:
    """A direction within a subspace U [dim, rank], or with `complement` the rest of it.

    side "output":  d' = U·Uᵀ·d, what moves what a matrix gives within U (ActSVD's Π·W, Wei et al.,
                    arXiv 2402.05162, Sec. 3.3)
    side "input":   d' = d·U·Uᵀ, what moves what it makes of inputs within U
    complement:     d - d'

    Both parts together are the direction, to rounding: products are formed in float64 and rounded
    once. Parameters of which the subspace does not speak have no part in it, and all of their step
    in the complement.
    """

    kind: ClassVar[str] = "projected"
    random: ClassVar[bool] = False

    def __init__(
        self,
        direction: Direction,
        subspace: HeldSubspace,
        complement: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        self.direction, self.subspace, self.complement = direction, subspace, complement
        where = "outside" if complement else "in"
        self.name = name or f"{direction.name}-{where}-{subspace.name}"

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Projected:
        """The direction of a `spec()`, the one within it rebuilt."""
        inner = rebuild(spec["direction"], weights)
        subspace = HeldSubspace.rebuild(spec["subspace"])
        return cls(inner, subspace, spec["complement"], name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "direction": self.direction.spec(),
            "subspace": self.subspace.spec(),
            "complement": self.complement,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        basis = self.subspace.basis(parameter)
        if basis is None and not self.complement:
            return None
        step = self.direction.tensor(parameter)
        if step is None or basis is None:
            return step
        bases = iter(basis[None] if parameter.stacked is None else basis)

        def project(matrix: Tensor) -> Tensor:
            u = next(bases).to(matrix.device, torch.float64)
            inside: Tensor = (
                u @ (u.T @ matrix) if self.subspace.side == "output" else matrix @ u @ u.T
            )
            return matrix - inside if self.complement else inside

        return _by_matrix(step, parameter, project)


class Truncated:
    """The best approximation of a direction by matrices of some rank: d' = Σ_{i ≤ r} σ_i·u_i·v_iᵀ.

    By the singular values of each matrix, exactly (Eckart and Young); the few that an alignment's
    difference needs are what LoX extrapolates (Perin et al., arXiv 2506.15606). A tensor of one
    dimension is a matrix of one row, whole from rank 1 on. At a matrix's full rank it is the
    direction, bit for bit, and at rank 0 nothing moves.

    Every call decomposes anew: `Resident` keeps what it gives. Raises DirectionError for a
    negative rank.
    """

    kind: ClassVar[str] = "truncated"
    random: ClassVar[bool] = False

    def __init__(self, direction: Direction, rank: int, *, name: str | None = None) -> None:
        if rank < 0:
            raise DirectionError(f"No matrix has rank {rank}.", "Give 0 or more.")
        self.direction, self.rank = direction, int(rank)
        self.name = name or f"{direction.name}-rank-{self.rank}"

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Truncated:
        """The direction of a `spec()`, the one within it rebuilt."""
        return cls(rebuild(spec["direction"], weights), spec["rank"], name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "direction": self.direction.spec(),
            "rank": self.rank,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if not self.rank:
            return None
        step = self.direction.tensor(parameter)
        shape = parameter.matrix.shape
        if step is None or len(shape) < 2 or self.rank >= min(shape[0], math.prod(shape[1:])):
            return step
        return _by_matrix(step, parameter, self._truncate)

    def _truncate(self, matrix: Tensor) -> Tensor:
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        low: Tensor = (u[:, : self.rank] * s[: self.rank]) @ vh[: self.rank]
        return low


def _by_matrix(step: Tensor, parameter: Parameter, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`change` of every matrix [out, rest], float64, of a tensor, in the tensor's own layout."""
    made = []
    for one in parameter.split(step):
        matrix = one.movedim(parameter.output_dim, 0)
        found = change(matrix.flatten(1).double()).reshape(matrix.shape)
        made.append(found.movedim(0, parameter.output_dim).float())
    return torch.stack(made).reshape(parameter.shape)
