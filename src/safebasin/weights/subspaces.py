"""Subspaces of what enters the matrices of a model, or of what they give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.weights.parameters import Parameter
from safebasin.weights.tensor_files import as_text, from_text, write_tensors

Side = Literal["input", "output"]

_ORTHONORMAL = 1e-3
"""How far UᵀU may be from the identity, in its entries."""


class HeldSubspace:
    """Orthonormal bases in memory, by parameter name: float32 [dim, rank].

    `side` says of what the columns are directions: of what enters a matrix W [out, in], or of what
    it gives. Where a parameter stacks several matrices, its basis is [matrices, dim, rank].
    `found_by` are JSON values of where it comes from, a part of its specification. Raises
    DirectionError where the columns of one are not orthonormal.
    """

    def __init__(
        self,
        name: str,
        side: Side,
        bases: Mapping[str, Tensor],
        *,
        found_by: Mapping[str, Any] | None = None,
    ) -> None:
        if side not in ("input", "output"):
            raise DirectionError(f"A matrix has no side '{side}'.", "Give input or output.")
        self.name = name
        self.side: Side = side
        self.found_by = dict(found_by or {})
        self.bases = {key: basis.float() for key, basis in bases.items()}
        for key, basis in self.bases.items():
            gram = basis.mT @ basis
            identity = torch.eye(basis.shape[-1], device=basis.device)
            if not bool(((gram - identity).abs() < _ORTHONORMAL).all()):
                raise DirectionError(
                    f"The basis of '{name}' for '{key}' is not orthonormal.",
                    "Give orthonormal columns, such as those of torch.linalg.qr.",
                )

    @staticmethod
    def rebuild(spec: Mapping[str, Any]) -> HeldSubspace:
        """The subspace of a `spec()`; DirectionError where its values are damaged."""
        what = f"the subspace '{spec['name']}'"
        others = {key: spec[key] for key in spec.keys() - {"name", "side", "safetensors"}}
        bases = from_text(spec["safetensors"], what)
        return HeldSubspace(spec["name"], spec["side"], bases, found_by=others)

    def spec(self) -> dict[str, Any]:
        """All of its values, and what it was found by."""
        own = {"name": self.name, "side": self.side, "safetensors": as_text(self.bases)}
        return {**self.found_by, **own}

    def save(self, path: Path) -> Path:
        """Write its bases as safetensors; RunError where that cannot be."""
        return write_tensors(path, self.bases)

    def basis(self, parameter: Parameter) -> Tensor | None:
        """Orthonormal columns, float32 [dim, rank], one such for each stacked matrix.

        None where the subspace does not speak of the parameter. Raises DirectionError where it
        was made for another shape.
        """
        found = next((self.bases[n] for n in parameter.names if n in self.bases), None)
        if found is None:
            return None
        matrix = parameter.matrix
        dim = parameter.output_dim if self.side == "output" else 1 - parameter.output_dim
        lead = () if parameter.stacked is None else (parameter.matrices,)
        if len(matrix.shape) != 2 or tuple(found.shape[:-1]) != (*lead, matrix.shape[dim]):
            raise DirectionError(
                f"The subspace '{self.name}' is of shape {tuple(found.shape)} for the {self.side} "
                f"of '{parameter.name}', which is of shape {parameter.shape}.",
                "Give a subspace that was made for this model.",
            )
        return found
