"""Large tensors displaced piece by piece, so that no direction is held whole beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import BLOCK, Finite

PIECE = 16 * BLOCK
"""The elements of one piece: 4 MiB in float32."""

AT_ONCE, AT_ONCE_ON_CPU = 4 * 2**20, 2**15 - 1
"""About how many elements of a tensor are displaced at a time: on a CPU as many as stay in a core's
cache from one operation to the next, and as torch leaves to one thread. For more it has its threads
wait for one another at each operation, which takes longer than the operation."""


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
    """`add` of directions that come in pieces, one piece after another."""
    finite = torch.ones((), dtype=torch.bool, device=target.device)
    parts = zip(*(torch.split(tensor.view(-1), PIECE) for tensor in (target, origin)), strict=True)
    for to, start in parts:
        finite &= add(to, start, [(coefficient, next(pieces)) for coefficient, pieces in moves])
    return finite


def add(target: Tensor, origin: Tensor, steps: Sequence[tuple[float, Tensor]]) -> Tensor:
    """target = cast(fp32(origin) + Σ fp32(c·step)), a few rows at a time to keep memory low.

    Returns whether all of it is finite, bool [] on the target's device.
    """
    finite = Finite(target.device)
    whole = [t if t.dim() else t[None] for t in (target, origin, *(step for _, step in steps))]
    at_once = AT_ONCE_ON_CPU if target.device.type == "cpu" else AT_ONCE
    rows = max(1, at_once // max(1, target.numel() // max(1, len(whole[0]))))
    for to, start, *moves in zip(*(torch.split(t, rows) for t in whole), strict=True):
        total = start.to(to.device, torch.float32)
        for (coefficient, _), step in zip(steps, moves, strict=True):
            # Two operations: a fused multiply-add would round differently on a GPU.
            scaled = step.to(to.device).mul(coefficient)
            total = torch.add(total, scaled, out=to if to.dtype == total.dtype else None)
        if total is not to:
            to.copy_(total)
        finite.see(to)
    return finite.all()
