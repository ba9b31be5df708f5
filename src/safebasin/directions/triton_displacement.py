"""Weights displaced along counter-drawn noise by one kernel, nothing of which is stored.

W = cast(fp32(W0) + Σ fp32(fp32(c_i)·fp32(s_i·z_i))) with every operation rounded by itself, as
`Weights.displaced` defines it. A block of the generator and its eight normals are computed in
registers; the weights are read and written once, whatever the number of directions.

Imported where there is a GPU only: Triton comes with PyTorch's builds for CUDA.
"""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from safebasin.directions.counter_noise import PER_BLOCK, Parts, by_row, halved_sums, joined
from safebasin.directions.normal_table import packed_on
from safebasin.directions.philox import Key, signed
from safebasin.weights.counted import Term

_BLOCKS = 256  # of the generator in one program: 2,048 elements
_WARPS = 4
_ROUNDS = tl.constexpr(10)
_PLACE_BITS = tl.constexpr(15)
_PLACE_MASK = tl.constexpr((1 << 15) - 1)
_HALF = tl.constexpr(1 << 14)
_CELL_MASK = tl.constexpr((1 << 17) - 1)
_UNIT = tl.constexpr(2.0**-20)


@triton.jit
def _halves(word):
    lower = word.to(tl.uint32).to(tl.int32, bitcast=True)
    upper = (word >> 32).to(tl.uint32).to(tl.int32, bitcast=True)
    return lower, upper


@triton.jit
def _whole_numbers(key, block, table):
    """Normals in multiples of 2^-20: int32 [8 * blocks], in the order of their elements."""
    zero = tl.zeros_like(block)
    low = tl.load(key).to(tl.uint64, bitcast=True)
    high = tl.load(key + 1).to(tl.uint64, bitcast=True)
    first, second, third, fourth = tl.philox_impl(block, zero, zero, zero, low, high, _ROUNDS)
    a0, a1 = _halves(first)
    a2, a3 = _halves(second)
    a4, a5 = _halves(third)
    a6, a7 = _halves(fourth)
    even = tl.interleave(tl.interleave(a0, a4), tl.interleave(a2, a6))
    odd = tl.interleave(tl.interleave(a1, a5), tl.interleave(a3, a7))
    uniform = tl.interleave(even, odd)
    bits = (uniform | 1).to(tl.float32).to(tl.int32, bitcast=True)
    both = tl.load(table + ((bits >> _PLACE_BITS) & _CELL_MASK))
    change = (both.to(tl.int32) * (bits & _PLACE_MASK) + _HALF) >> _PLACE_BITS
    return (both >> 32).to(tl.int32) + change


@triton.jit
def _places(program, skipped: tl.constexpr, blocks: tl.constexpr):
    """The places of a program's elements, where the first block begins skipped before place 0."""
    return program * (8 * blocks) + tl.arange(0, 8 * blocks) - skipped


@triton.jit(do_not_specialize=["offset", "first", "number", "size", "rows", "inner"])
def _displace(
    target, origin, table, keys, coefficients, scales, wrong,
    offset, first, count, number, size, rows, inner,
    terms: tl.constexpr, skipped: tl.constexpr,
    by_row: tl.constexpr, in_order: tl.constexpr, blocks: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    block = (first + program * blocks + tl.arange(0, blocks)).to(tl.uint64)
    place = _places(program, skipped, blocks)
    there = (place >= 0) & (place < count)
    total = tl.load(origin + place, mask=there, other=0.0).to(tl.float32)
    for term in tl.static_range(terms):
        drawn = _whole_numbers(keys + 2 * term, block, table)
        if by_row:
            row = (offset + place) // inner
            if not in_order:
                row = ((offset + place) // size) * rows + row % rows
            scale = tl.load(scales + term * number + row, mask=there, other=0.0)
        else:
            scale = tl.load(scales + term)
        step = (drawn.to(tl.float32) * _UNIT) * scale
        total = total + step * tl.load(coefficients + term)
    moved = total.to(target.dtype.element_ty)
    tl.store(target + place, moved, mask=there)
    finite = tl.abs(moved.to(tl.float32)) < float("inf")
    tl.store(wrong + program, tl.max(tl.where(there & (finite == 0), 1, 0), axis=0))


@triton.jit(do_not_specialize=["first"])
def _draw(target, table, keys, first, count, skipped: tl.constexpr, blocks: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    block = (first + program * blocks + tl.arange(0, blocks)).to(tl.uint64)
    place = _places(program, skipped, blocks)
    drawn = _whole_numbers(keys, block, table)
    tl.store(target + place, drawn, mask=(place >= 0) & (place < count))


@triton.jit(do_not_specialize=["length", "chunks"])
def _squares(sums, table, keys, length, chunks, blocks: tl.constexpr):
    """The sum of the squares of one chunk of one row."""
    program = tl.program_id(0).to(tl.int64)
    begin = (program // chunks) * length
    block = (begin // 8 + (program % chunks) * blocks + tl.arange(0, blocks)).to(tl.uint64)
    place = _places(program % chunks, 0, blocks) - begin % 8
    there = (place >= 0) & (place < length)
    drawn = _whole_numbers(keys, block, table).to(tl.int64)
    tl.store(sums + program, tl.sum(tl.where(there, drawn * drawn, 0), axis=0))


def displace_(
    target: Tensor,
    origin: Tensor,
    terms: Sequence[Term],
    *,
    offset: int = 0,
    parts: Parts | None = None,
) -> Tensor:
    """`counter_displacement.displace_` by the fused kernel, where both tensors are on a GPU."""
    count, device = target.numel(), target.device
    scales = [torch.as_tensor(term.scale, dtype=torch.float32).reshape(-1) for term in terms]
    if any(len(scale) > 1 for scale in scales):
        scales = [by_row(scale, parts) for scale in scales]
    number = len(scales[0])
    fall = parts or Parts(1, 1, 1, 1)
    first, skipped = divmod(offset, PER_BLOCK)
    programs = triton.cdiv(count + skipped, PER_BLOCK * _BLOCKS)
    wrong = torch.empty(programs, dtype=torch.int32, device=device)
    _launch(
        _displace,
        programs,
        target,
        origin,
        packed_on(device),
        _keys([term.key for term in terms], device),
        torch.tensor([term.coefficient for term in terms], dtype=torch.float32).to(device),
        torch.cat([scale.to(device) for scale in scales]),
        wrong,
        offset,
        first,
        count,
        number,
        fall.size,
        fall.rows,
        fall.inner,
        terms=len(terms),
        skipped=skipped,
        by_row=number > 1,
        in_order=fall.outer == 1,
    )
    return ~wrong.any()


def whole_numbers(key: Key, offset: int, count: int, device: torch.device | str) -> Tensor:
    """`counter_noise.whole_numbers` by the kernels' way of drawing."""
    first, skipped = divmod(offset, PER_BLOCK)
    out = torch.empty(count, dtype=torch.int32, device=device)
    programs = triton.cdiv(count + skipped, PER_BLOCK * _BLOCKS)
    table, keys = packed_on(out.device), _keys([key], out.device)
    _launch(_draw, programs, out, table, keys, first, count, skipped=skipped)
    return out


def square_sums(
    key: Key, length: int, rows: int, device: torch.device | str
) -> NDArray[np.float64]:
    """`counter_noise.square_sums` by a kernel: no noise is stored."""
    # A row that does not begin with a block reaches up to 7 elements further.
    chunks = triton.cdiv(length + PER_BLOCK - 1, PER_BLOCK * _BLOCKS)
    sums = torch.empty(rows * chunks, dtype=torch.int64, device=device)
    table, keys = packed_on(sums.device), _keys([key], sums.device)
    _launch(_squares, rows * chunks, sums, table, keys, length, chunks)
    upper, lower = halved_sums(sums.reshape(1, rows, chunks))
    return joined(upper.cpu().numpy(), lower.cpu().numpy())


def _keys(keys: Sequence[Key], device: torch.device) -> Tensor:
    return torch.tensor([[signed(word) for word in key] for key in keys]).to(device)


def _launch(
    kernel: Any, programs: int, first: Tensor, *others: object, **constants: object
) -> None:
    with torch.cuda.device_of(first):
        # A fused multiply-add would round once where two operations round twice.
        kernel[(programs,)](
            first, *others, **constants, blocks=_BLOCKS, num_warps=_WARPS, enable_fp_fusion=False
        )
