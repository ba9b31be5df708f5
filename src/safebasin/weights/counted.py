"""Tensors displaced along noise that is drawn where it is added, so that no direction is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from safebasin.weights.parameters import Parameter
from safebasin.weights.streaming import PIECE
from safebasin.weights.sums import fp32

if TYPE_CHECKING:
    from safebasin.directions.counter_displacement import Term


@runtime_checkable
class Counted(Protocol):
    """A direction whose elements are drawn one by one, by their index."""

    def term(self, parameter: Parameter, coefficient: float) -> Term | None:
        """What displaces the parameter by so much; None where it is not moved."""
        ...


def counted(
    moves: Sequence[tuple[float, object]], views: Sequence[Parameter], target: Tensor
) -> list[Term] | None:
    """The terms of each (coefficient, direction); None where one of them is to be held."""
    if not target.is_contiguous() or not all(isinstance(move, Counted) for _, move in moves):
        return None
    found = (
        direction.term(view, fp32(coefficient))
        for coefficient, direction in moves
        if isinstance(direction, Counted)
        for view in views
    )
    return [term for term in found if term is not None]


def add_counted(
    target: Tensor, origin: Tensor, parameter: Parameter, terms: Sequence[Term]
) -> Tensor:
    """target = cast(fp32(origin) + Σ fp32(c·fp32(s·z))), drawn on the target's device.

    Returns whether all of it is finite, bool [] on the target's device.
    """
    from safebasin.directions.counter_displacement import displace_, parts_of

    fall = parts_of(parameter)
    if origin.device == target.device:
        return displace_(target, origin, terms, parts=fall)
    finite = torch.ones((), dtype=torch.bool, device=target.device)
    parts = zip(*(torch.split(tensor.view(-1), PIECE) for tensor in (target, origin)), strict=True)
    for number, (to, start) in enumerate(parts):
        near = start.to(to.device, non_blocking=True)
        finite &= displace_(to, near, terms, offset=number * PIECE, parts=fall)
    return finite
