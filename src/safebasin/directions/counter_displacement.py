"""Weights displaced along counter-drawn noise in place: W = cast(fp32(W0) + Σ c_i·s_i·z_i).

On a GPU with Triton one kernel draws, adds and casts, and nothing of a direction is stored;
elsewhere PyTorch does it by pieces. Both give the same bits, those of `Weights.displaced`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safebasin.directions.counter_noise import draw, square_sums
from safebasin.directions.philox import Key

_PIECE = 1 << 24


class Term(NamedTuple):
    """How far to move along the noise of one parameter in one direction.

    `scale` makes noise the direction: ‖W‖/‖z‖, one for the tensor or float32 (rows,), on any
    device; `coefficient` is that of the point. Both count as float32.
    """

    key: Key
    coefficient: float
    scale: float | Tensor


def displace_(
    target: Tensor, origin: Tensor, terms: Sequence[Term], *, offset: int = 0, inner: int = 0
) -> Tensor:
    """Write origin + Σ c·(s·z) into `target`: contiguous float32, bfloat16 or float16.

    `target` and `origin` are elements offset, offset + 1, ... of a parameter, on one device. Where
    scales are of rows, element e is of row (e // inner) % rows. Returns whether all that was
    written is finite, bool [] on the device.
    """
    if target.is_cuda and has_triton():
        from safebasin.directions import triton_displacement

        return triton_displacement.displace_(target, origin, terms, offset=offset, inner=inner)
    return displace_by_torch_(target, origin, terms, offset=offset, inner=inner)


def displace_by_torch_(
    target: Tensor, origin: Tensor, terms: Sequence[Term], *, offset: int = 0, inner: int = 0
) -> Tensor:
    """The same by PyTorch's own operations on any device: the yardstick of the fused kernel."""
    finite = torch.ones((), dtype=torch.bool, device=target.device)
    device = target.device
    scales = [t.scale.to(device) if isinstance(t.scale, Tensor) else t.scale for t in terms]
    parts = zip(*(torch.split(tensor.view(-1), _PIECE) for tensor in (target, origin)), strict=True)
    for number, (to, start) in enumerate(parts):
        begin = offset + number * _PIECE
        total = start.to(torch.float32, copy=True)
        for term, scale in zip(terms, scales, strict=True):
            step = draw(term.key, begin, len(to), device)
            if isinstance(scale, Tensor):
                place = torch.arange(begin, begin + len(to), device=device)
                step.mul_(scale[(place // inner) % len(scale)])
            else:
                step.mul_(float(np.float32(scale)))
            total.add_(step.mul_(float(np.float32(term.coefficient))))
        to.copy_(total)
        finite &= to.isfinite().all()
    return finite


def sums_of_squares(
    key: Key, length: int, rows: int, device: torch.device | str
) -> NDArray[np.float64]:
    """The sums of the squares of the noise's rows, where it is quickest: see `square_sums`."""
    if torch.device(device).type == "cuda" and has_triton():
        from safebasin.directions import triton_displacement

        return triton_displacement.square_sums(key, length, rows, device)
    return square_sums(key, length, rows, device)


@cache
def has_triton() -> bool:
    """Whether Triton is there, as it is with PyTorch's builds for CUDA on Linux."""
    return importlib.util.find_spec("triton") is not None
