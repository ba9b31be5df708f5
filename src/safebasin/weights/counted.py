"""Tensors displaced along noise that is drawn where it is added, so that no direction is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from safebasin.weights.parameters import Parameter
from safebasin.weights.streaming import PIECE
from safebasin.weights.sums import fp32


class Term(NamedTuple):
    """How far to move along the noise of one parameter in one direction.

    `key` is the noise's, and `scale` makes it the direction: ‖W‖/‖z‖, one for the tensor, or
    float32 with one for each matrix or each row of the tensor's parts; `coefficient` is that of
    the point. Both count as float32.
    """

    key: tuple[int, int]
    coefficient: float
    scale: float | Tensor


@runtime_checkable
class Counted(Protocol):
    """A direction whose elements are drawn one by one, by their index."""

    def term(self, parameter: Parameter, coefficient: float) -> Term | None:
        """What displaces the parameter by so much; None where it is not moved."""
        ...

    def displace_(
        self,
        target: Tensor,
        origin: Tensor,
        terms: Sequence[Term],
        parameter: Parameter,
        offset: int,
    ) -> Tensor:
        """Write origin + Σ c·(s·z) of all terms, its own and others', into `target`.

        Both are elements offset, offset + 1, ... of the parameter, on one device. Returns whether
        all that was written is finite, bool [] on the device.
        """
        ...


class Drawn(NamedTuple):
    """The terms of all directions for one parameter, and a direction that can add them."""

    direction: Counted
    terms: list[Term]


def counted(
    moves: Sequence[tuple[float, object]], views: Sequence[Parameter], target: Tensor
) -> Drawn | None:
    """The terms of each (coefficient, direction); None where one of them is to be held."""
    found = [(fp32(c), direction) for c, direction in moves if isinstance(direction, Counted)]
    if not target.is_contiguous() or len(found) < len(moves):
        return None
    terms = (direction.term(view, c) for c, direction in found for view in views)
    return Drawn(found[0][1], [term for term in terms if term is not None])


def add_counted(
    target: Tensor, origin: Tensor, parameter: Parameter, drawn: Drawn, offset: int = 0
) -> Tensor:
    """target = cast(fp32(origin) + Σ fp32(c·fp32(s·z))), drawn on the target's device.

    Both are the parameter's elements offset, offset + 1, ..., all of them or some. Returns whether
    all of it is finite, bool [] on the target's device.
    """
    direction, terms = drawn
    if origin.device == target.device:
        return direction.displace_(target, origin, terms, parameter, offset)
    finite = torch.ones((), dtype=torch.bool, device=target.device)
    parts = zip(*(torch.split(tensor.view(-1), PIECE) for tensor in (target, origin)), strict=True)
    for number, (to, start) in enumerate(parts):
        near = start.to(to.device, non_blocking=True)
        finite &= direction.displace_(to, near, terms, parameter, offset + number * PIECE)
    return finite
