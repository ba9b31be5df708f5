"""Weights displaced along counter-drawn noise in place: W = cast(fp32(W0) + Σ c_i·s_i·z_i).

On a GPU with Triton one kernel draws, adds and casts, and nothing of a direction is stored;
elsewhere PyTorch does it by pieces. Both give the same bits, those of `Weights.displaced`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safebasin.directions.counter_noise import Parts, by_row, draw, square_sums
from safebasin.directions.philox import Key
from safebasin.weights.counted import Term
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import Finite, fp32

_PIECE = 1 << 24
_PIECE_ON_CPU = 1 << 20


def displace_(
    target: Tensor,
    origin: Tensor,
    terms: Sequence[Term],
    *,
    offset: int = 0,
    parts: Parts | None = None,
) -> Tensor:
    """Write origin + Σ c·(s·z) into `target`: contiguous float32, bfloat16 or float16.

    `target` and `origin` are elements offset, offset + 1, ... of a parameter, on one device;
    `parts` says how it falls into rows, where a scale is not of the whole tensor. Returns whether
    all that was written is finite, bool [] on the device.
    """
    if target.is_cuda and has_triton():
        from safebasin.directions import triton_displacement

        return triton_displacement.displace_(target, origin, terms, offset=offset, parts=parts)
    return displace_by_torch_(target, origin, terms, offset=offset, parts=parts)


def displace_by_torch_(
    target: Tensor,
    origin: Tensor,
    terms: Sequence[Term],
    *,
    offset: int = 0,
    parts: Parts | None = None,
) -> Tensor:
    """The same by PyTorch's own operations on any device: the yardstick of the fused kernel."""
    device = target.device
    size = _PIECE_ON_CPU if device.type == "cpu" else _PIECE
    moves = [
        (
            term.key,
            fp32(term.coefficient),
            by_row(term.scale, parts).to(device)
            if isinstance(term.scale, Tensor)
            else fp32(term.scale),
        )
        for term in terms
    ]
    finite = Finite(device)
    flat = zip(*(torch.split(tensor.view(-1), size) for tensor in (target, origin)), strict=True)
    for number, (to, start) in enumerate(flat):
        begin = offset + number * size
        total = start.to(torch.float32)
        for key, coefficient, scale in moves:
            step = draw(key, begin, len(to), device)
            own = _spread(scale, begin, len(to), parts) if isinstance(scale, Tensor) else scale
            step.mul_(own)
            step.mul_(coefficient)
            total = torch.add(total, step, out=to if to.dtype == total.dtype else None)
        if total is not to:
            to.copy_(total)
        finite.see(to)
    return finite.all()


def _spread(scales: Tensor, begin: int, count: int, parts: Parts | None) -> Tensor:
    """The scales of elements begin, ..., begin + count - 1."""
    if parts is None:
        raise ValueError("scales of rows need the parts of the tensor")
    inner = parts.inner
    first, last = begin // inner, (begin + count - 1) // inner
    runs = torch.arange(first, last + 1, device=scales.device)  # of elements of one row each
    if parts.outer > 1:
        runs = runs // (parts.size // inner) * parts.rows + runs % parts.rows
    return scales[runs].repeat_interleave(inner)[begin - first * inner :][:count]


def parts_of(parameter: Parameter) -> Parts:
    """How a parameter falls into its matrices and their output rows."""
    shape, dim = parameter.matrix.shape, parameter.output_dim
    if not shape:
        return Parts(1, 1, 1, 1)
    before, after = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    return Parts(parameter.matrices, before, shape[dim], after)


def sums_of_squares(key: Key, parts: Parts, device: torch.device | str) -> NDArray[np.float64]:
    """`square_sums`, by a kernel where there is one."""
    if parts.outer == 1 and torch.device(device).type == "cuda" and has_triton():
        from safebasin.directions import triton_displacement

        return triton_displacement.square_sums(key, parts.inner, parts.all_rows, device)
    return square_sums(key, parts, device)


@cache
def has_triton() -> bool:
    """Whether Triton is there, as it is with PyTorch's builds for CUDA on Linux."""
    return importlib.util.find_spec("triton") is not None
