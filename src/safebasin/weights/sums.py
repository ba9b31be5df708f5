"""Sums over tensors that come out the same, bit for bit, on every device and processor.

The product of two float32 numbers is exact in float64, and the order of the additions is fixed:
within blocks halves are added to halves, and the blocks are added exactly. A library's own
reduction may take another order on another machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 1 << 16


def norm(tensor: Tensor) -> float:
    """The Euclidean norm of a tensor of any shape, accumulated in float64."""
    return math.sqrt(inner(tensor, tensor))


def norm_of_pieces(pieces: Iterable[Tensor]) -> float:
    """The same, bit for bit, of a tensor that comes flat and in consecutive pieces.

    All but the last have to be of a multiple of BLOCK elements.
    """
    return math.sqrt(math.fsum(total for piece in pieces for total in _block_sums(piece, piece)))


def inner(a: Tensor, b: Tensor) -> float:
    """The inner product of two tensors of one shape, accumulated in float64."""
    return math.fsum(_block_sums(a, b.to(a.device)))


def _block_sums(a: Tensor, b: Tensor) -> Iterator[float]:
    if a.device.type == "cpu":
        yield from _block_sums_on_cpu(a.detach(), b.detach())
        return
    size = at_once(a)
    for x, y in zip(*(torch.split(t.reshape(-1), size) for t in (a, b)), strict=True):
        product = x.double() * y.double()
        whole = product.numel() // BLOCK * BLOCK
        yield from _halve(product[:whole].reshape(-1, BLOCK)).tolist()
        yield from _halve(product[whole:].reshape(1, -1)).tolist()


def _block_sums_on_cpu(a: Tensor, b: Tensor) -> Iterator[float]:
    """The same by NumPy, whose additions of a block's halves take a third of the time."""
    products = np.empty(BLOCK)
    for x, y in zip(*(torch.split(t.reshape(-1), BLOCK) for t in (a, b)), strict=True):
        sums = np.multiply(_numbers(x), _numbers(y), out=products[: len(x)], dtype=np.float64)
        while (length := len(sums)) > 1:
            half = (length + 1) // 2
            sums[: length - half] += sums[half:]
            sums = sums[:half]
        yield from sums.tolist()


def _numbers(x: Tensor) -> NDArray[np.float32 | np.float64]:
    found: NDArray[np.float32 | np.float64]
    found = (x if x.dtype in (torch.float32, torch.float64) else x.double()).numpy()
    return found


def row_inner(a: Tensor, b: Tensor, output_dim: int = 0) -> Tensor:
    """The inner product of each row of `a` with that of `b`, two dimensions or more: (rows,).

    A row is what belongs to one index of `output_dim`. The result is float64.
    """
    left, right = (x.movedim(output_dim, 0).flatten(1) for x in (a, b))
    pieces = zip(*(torch.split(x, rows_at_once(a, output_dim)) for x in (left, right)), strict=True)
    return torch.cat([_halve(x.double() * y.double()) for x, y in pieces])


def at_once(tensor: Tensor) -> int:
    """How many elements to hold in float64 at once: what a cache takes, or what keeps a GPU busy.

    No result depends on it.
    """
    return BLOCK if tensor.device.type == "cpu" else 64 * BLOCK


def rows_at_once(tensor: Tensor, output_dim: int) -> int:
    """The same for rows; at least 1."""
    width = tensor.numel() // max(1, tensor.shape[output_dim])
    return max(1, at_once(tensor) // max(1, width))


def _halve(x: Tensor) -> Tensor:
    """The sum over the last dimension in a fixed order. Overwrites `x`."""
    while (length := x.shape[-1]) > 1:
        half = (length + 1) // 2
        x[..., : length - half] += x[..., half:]
        x = x[..., :half]
    return x.squeeze(-1) if x.shape[-1] else x.new_zeros(x.shape[:-1])


def all_finite(tensor: Tensor) -> Tensor:
    """Whether no element is infinite or no number: bool [] on the tensor's device.

    The least and the largest element say so, NaN being both where there is one: one pass over
    memory, where `isfinite().all()` makes five and as many copies.
    """
    if not tensor.numel():
        return torch.ones((), dtype=torch.bool, device=tensor.device)
    least, largest = torch.aminmax(tensor)
    return least.isfinite() & largest.isfinite()


class Finite:
    """Whether tensors that are shown one after another are finite, asked once at the end.

    The least and the largest element of each say so; to compare them at once for each of many small
    tensors takes as long as to write these.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ends: list[Tensor] = []

    def see(self, tensor: Tensor) -> None:
        if tensor.numel():
            self._ends += torch.aminmax(tensor)

    def all(self) -> Tensor:
        """bool [] on the device."""
        if not self._ends:
            return torch.ones((), dtype=torch.bool, device=self._device)
        return torch.stack(self._ends).isfinite().all()


def fp32(value: float) -> float:
    """The nearest float32, as a Python number."""
    return torch.tensor(value, dtype=torch.float32).item()


def raw(tensor: Tensor) -> memoryview:
    """The bytes of a tensor in row-major order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
