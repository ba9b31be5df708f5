"""Attention of rows with one query each by one kernel, which reads the keys that a row has.

PyTorch's attention with a mask reads the longest row's number of keys for every row, and takes
blocks of queries where a row has as many as heads share keys.

Imported where there is a GPU only: Triton comes with PyTorch's builds for CUDA.
"""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

_KEYS = 64  # in one step of a program
_FEWEST_QUERIES = 16  # of a product by tensor cores; missing ones are zeros
_WARPS = 4


@triton.jit
def _attend_one(
    query, key, value, positions, attended, scale,
    query_row, query_head, slot, head, place,
    repeats: tl.constexpr, size: tl.constexpr, width: tl.constexpr, keys: tl.constexpr,
):  # fmt: skip
    row, shared = tl.program_id(0).to(tl.int64), tl.program_id(1)
    queries, places, elements = tl.arange(0, width), tl.arange(0, keys), tl.arange(0, size)
    real = (queries < repeats)[:, None]
    heads = shared * repeats + queries
    at = row * query_row + heads[:, None] * query_head + elements[None, :]
    asked = tl.load(query + at, mask=real, other=0.0)
    last = tl.load(positions + row)
    best = tl.full([width], -float("inf"), tl.float32)
    total = tl.zeros([width], tl.float32)
    found = tl.zeros([width, size], tl.float32)
    base = row * slot + shared * head
    for begin in range(0, last + 1, keys):
        seen = begin + places <= last
        stored = base + (begin + places)[:, None] * place + elements[None, :]
        matched = tl.load(key + stored, mask=seen[:, None], other=0.0)
        # In powers of two; `scale` holds the factor.
        scores = tl.dot(asked, tl.trans(matched), input_precision="ieee") * scale
        scores = tl.where(seen[None, :], scores, -float("inf"))
        highest = tl.maximum(best, tl.max(scores, 1))
        shares, fade = tl.exp2(scores - highest[:, None]), tl.exp2(best - highest)
        total = total * fade + tl.sum(shares, 1)
        held = tl.load(value + stored, mask=seen[:, None], other=0.0)
        found = found * fade[:, None]
        found += tl.dot(shares.to(held.dtype), held, input_precision="ieee")
        best = highest
    count = tl.num_programs(1) * repeats
    to = (row * count + heads)[:, None] * size + elements[None, :]
    tl.store(attended + to, (found / total[:, None]).to(attended.dtype.element_ty), mask=real)


def attend_one(
    query: Tensor, key: Tensor, value: Tensor, positions: Tensor, scaling: float | None = None
) -> Tensor:
    """What each row's one query attends to: [rows, heads, size], as the query is.

    Keys and values are [rows, key heads, length, size], alike in memory, of which row i sees those
    up to positions[i], int64 [rows]. The size is a power of two, and `fits` says whether the rest
    suits.
    """
    rows, heads, size = query.shape
    shared = key.shape[1]
    repeats = heads // shared
    attended = torch.empty((rows, heads, size), dtype=query.dtype, device=query.device)
    scale = (size**-0.5 if scaling is None else scaling) * math.log2(math.e)
    _attend_one[(rows, shared)](
        query,
        key,
        value,
        positions,
        attended,
        scale,
        query.stride(0),
        query.stride(1),
        key.stride(0),
        key.stride(1),
        key.stride(2),
        repeats=repeats,
        size=size,
        width=max(_FEWEST_QUERIES, triton.next_power_of_2(repeats)),
        keys=_KEYS,
        num_warps=_WARPS,
    )
    return attended


def fits(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether the kernel takes these: elements of a head side by side, a size it has blocks for."""
    size = query.shape[-1]
    alike = key.stride() == value.stride() and query.stride(-1) == key.stride(-1) == 1
    return alike and 16 <= size <= 256 and size & (size - 1) == 0
