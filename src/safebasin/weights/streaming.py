"""Large tensors displaced piece by piece, so that no direction is held whole beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import BLOCK, all_finite

PIECE = 16 * BLOCK
"""The elements of one piece: 4 MiB in float32."""


@runtime_checkable
class Streamed(Protocol):
    """A direction that can be had in pieces."""

    def pieces(self, parameter: Parameter) -> Iterator[Tensor] | None:
        """The displacement at coefficient 1, flat, PIECE elements after PIECE elements.

        float32, bit for bit what `tensor` gives; None where this parameter is not to be had so.
        """
        ...


def streams(
    moves: Sequence[tuple[float, object]], parameter: Parameter, target: Tensor
) -> list[tuple[float, Iterator[Tensor]]] | None:
    """The pieces of each (coefficient, direction); None where the tensor is moved as a whole."""
    if target.numel() <= PIECE or not target.is_contiguous():
        return None
    found = []
    for coefficient, direction in moves:
        pieces = direction.pieces(parameter) if isinstance(direction, Streamed) else None
        if pieces is None:
            return None
        found.append((coefficient, pieces))
    return found


def add_pieces(
    target: Tensor, origin: Tensor, moves: Sequence[tuple[float, Iterator[Tensor]]]
) -> Tensor:
    """target = cast(fp32(origin) + Σ fp32(c·piece)), one piece after another.

    Returns whether all of it is finite, bool [] on the target's device.
    """
    finite = torch.ones((), dtype=torch.bool, device=target.device)
    parts = zip(*(torch.split(tensor.view(-1), PIECE) for tensor in (target, origin)), strict=True)
    for to, start in parts:
        total = start.to(to.device, torch.float32, copy=True)
        for coefficient, pieces in moves:
            total.add_(next(pieces).to(to.device).mul_(coefficient))
        to.copy_(total)
        finite &= all_finite(to)
    return finite
