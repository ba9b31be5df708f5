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

from safebasin.directions.counter_noise import Parts, draw, square_sums
from safebasin.directions.philox import Key
from safebasin.weights.sums import fp32

_PIECE = 1 << 24
_PIECE_ON_CPU = 1 << 20


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
    device = target.device
    size = _PIECE_ON_CPU if device.type == "cpu" else _PIECE
    moves = [
        (
            term.key,
            fp32(term.coefficient),
            term.scale.to(device) if isinstance(term.scale, Tensor) else fp32(term.scale),
        )
        for term in terms
    ]
    finite = torch.ones((), dtype=torch.bool, device=device)
    parts = zip(*(torch.split(tensor.view(-1), size) for tensor in (target, origin)), strict=True)
    for number, (to, start) in enumerate(parts):
        begin = offset + number * size
        total = start.to(torch.float32, copy=True)
        for key, coefficient, scale in moves:
            step = draw(key, begin, len(to), device)
            own = _spread(scale, begin, len(to), inner) if isinstance(scale, Tensor) else scale
            step.mul_(own)
            total.add_(step.mul_(coefficient))
        to.copy_(total)
        finite &= to.isfinite().all()
    return finite


def _spread(scales: Tensor, begin: int, count: int, inner: int) -> Tensor:
    """The scales of elements begin, ..., begin + count - 1."""
    first, last = begin // inner, (begin + count - 1) // inner
    rows = torch.arange(first, last + 1, device=scales.device) % len(scales)
    every = scales[rows].repeat_interleave(inner) if inner > 1 else scales[rows]
    return every[begin - first * inner :][:count]


def sums_of_squares(key: Key, parts: Parts, device: torch.device | str) -> NDArray[np.float64]:
    """`square_sums`, by a kernel where there is one."""
    if parts.outer == 1 and torch.device(device).type == "cuda" and has_triton():
        from safebasin.directions import triton_displacement

        return triton_displacement.square_sums(key, parts.inner, parts.rows, device)
    return square_sums(key, parts, device)


@cache
def has_triton() -> bool:
    """Whether Triton is there, as it is with PyTorch's builds for CUDA on Linux."""
    return importlib.util.find_spec("triton") is not None
