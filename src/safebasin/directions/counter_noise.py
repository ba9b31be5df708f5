"""Normal noise whose number at a place depends on a key and the place alone.

Element e of a tensor, counted in row-major order, takes 32 bits of the counter-based generator:
block e // 8, word (e % 8) // 2, the lower half where e is even. What they are as a normal is
looked up in a table. So any piece can be had by itself, on any device and in any order, with the
same bits; NumPy, PyTorch and Triton are held against each other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safebasin.directions.normal_table import UNIT, Reading, normals_on
from safebasin.directions.philox import Key, key_of, words, words_on

PER_BLOCK = 8
"""The elements that one block of the generator serves."""

_AT_ONCE = 1 << 15  # what the processor's second cache takes
_AT_ONCE_ELSEWHERE = 1 << 24
_EACH_THREAD = 8  # such pieces are worth a thread
_THREAD = threading.local()
_LOW = 0xFFFFFFFF


class Parts(NamedTuple):
    """How a tensor falls into matrices, and each of them into rows of outer x inner elements.

    Element e is of row (e // size)·rows + (e // inner) % rows, with size = outer·rows·inner.
    """

    matrices: int
    outer: int
    rows: int
    inner: int

    @property
    def size(self) -> int:
        """The elements of a matrix."""
        return self.outer * self.rows * self.inner

    @property
    def all_rows(self) -> int:
        """The rows of all matrices."""
        return self.matrices * self.rows


def by_row(scale: Tensor, parts: Parts | None) -> Tensor:
    """The scales of all rows, of what may be those of the matrices or of the whole."""
    if parts is None:
        raise ValueError("scales of rows need the parts of the tensor")
    return scale.reshape(-1).repeat_interleave(parts.all_rows // scale.numel())


def noise_key(seed: int, name: str, shape: Sequence[int]) -> Key:
    """The key of a parameter's noise, from the seed, its name and its shape."""
    return key_of(f"safebasin counter 1\0{seed}\0{name}\0{'x'.join(map(str, shape))}")


def draw(key: Key, offset: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The normals of the elements offset, ..., offset + count - 1: float32 on the device."""
    return whole_numbers(key, offset, count, device).float().mul_(UNIT)


def whole_numbers(key: Key, offset: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The same as int32 multiples of 2^-20."""
    if torch.device(device).type == "cpu":
        return torch.from_numpy(_by_numpy(key, offset, count))
    out = torch.empty(count, dtype=torch.int32, device=device)
    for begin in range(0, count, _AT_ONCE_ELSEWHERE):
        part = out[begin : begin + _AT_ONCE_ELSEWHERE]
        part.copy_(whole_numbers_by_torch(key, offset + begin, len(part), device))
    return out


def whole_numbers_by_torch(key: Key, offset: int, count: int, device: torch.device | str) -> Tensor:
    """The same by PyTorch's own operations, all at once: the yardstick of the fused kernels."""
    first = offset // PER_BLOCK
    skipped = offset - first * PER_BLOCK
    blocks = -(-(skipped + count) // PER_BLOCK)
    drawn = words_on(device, key, first, blocks).reshape(-1)
    halves = torch.stack((drawn & _LOW, (drawn >> 32) & _LOW), dim=1).reshape(-1)
    uniform = ((halves ^ 0x80000000) - 0x80000000).int()
    return normals_on(uniform[skipped : skipped + count])


def square_sums(key: Key, parts: Parts, device: torch.device | str = "cpu") -> NDArray[np.float64]:
    """The sums of the squares of each row's normals, in terms of squared normals: (all_rows,).

    Added as whole numbers and rounded once, so that neither order nor device matters.
    """
    if parts.outer == 1:  # the rows of all matrices follow one another
        return _sums_of_one(key, 0, parts._replace(matrices=1, rows=parts.all_rows), device)
    begins = (i * parts.size for i in range(parts.matrices))
    return np.concatenate([_sums_of_one(key, begin, parts, device) for begin in begins])


def _sums_of_one(
    key: Key, offset: int, parts: Parts, device: torch.device | str
) -> NDArray[np.float64]:
    """The same of one matrix, which begins at an offset."""
    _, outer, rows, inner = parts
    on_cpu = torch.device(device).type == "cpu"
    at_once = _AT_ONCE if on_cpu else _AT_ONCE_ELSEWHERE
    upper, lower = (np.zeros(rows, dtype=np.int64) for _ in range(2))

    def add(begin: int, blocks: int, first: int, count: int, length: int) -> None:
        drawn = whole_numbers(key, begin, blocks * count * length, device).long()
        drawn = drawn.reshape(blocks, count, length)
        if on_cpu:  # 2^15 squares below 2^46 fit int64
            sums = np.einsum("brl,brl->r", drawn.numpy(), drawn.numpy())
            high, low = sums >> 32, sums & _LOW
        else:
            high, low = (half.cpu().numpy() for half in halved_sums(drawn.square_()))
        upper[first : first + count] += high
        lower[first : first + count] += low

    together = max(1, at_once // max(1, rows * inner))
    several = max(1, at_once // max(1, inner))
    for block in range(0, outer, together):
        begin, blocks = offset + block * rows * inner, min(together, outer - block)
        for first in range(0, rows, several):
            count = min(several, rows - first)
            for start in range(0, inner, at_once):
                length = min(at_once, inner - start)
                add(begin + first * inner + start, blocks, first, count, length)
    return joined(upper, lower)


def halved_sums(squares: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of each row in (blocks, rows, length), of the upper and of the lower 32 bits.

    int64 holds both exactly.
    """
    return (squares >> 32).sum(dim=(0, 2)), (squares & _LOW).sum(dim=(0, 2))


def joined(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.float64]:
    """Such sums as float64, rounded once, in terms of squared normals."""
    # Both halves are below 2^53, so that only their sum is rounded.
    total = np.ldexp(upper.astype(np.float64), 32) + lower.astype(np.float64)
    return total * UNIT**2


def _by_numpy(key: Key, offset: int, count: int) -> NDArray[np.int32]:
    out = np.empty(count, dtype=np.int32)

    def fill(begin: int) -> None:
        size = min(_AT_ONCE, count - begin)
        first, skipped = divmod(offset + begin, PER_BLOCK)
        blocks = -(-(skipped + size) // PER_BLOCK)
        uniform = words(key, first, blocks).astype("<u8", copy=False).view("<u4")
        own = _reading()
        out[begin : begin + size] = own.normals(uniform[skipped : skipped + size])

    begins = range(0, count, _AT_ONCE)
    threads = min(torch.get_num_threads(), len(begins) // _EACH_THREAD)
    if threads < 2:
        for begin in begins:
            fill(begin)
    else:
        # NumPy releases the interpreter lock, and no piece depends on another.
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(fill, begins):
                pass
    return out


def _reading() -> Reading:
    """This thread's memory for reading the table."""
    if not hasattr(_THREAD, "reading"):
        _THREAD.reading = Reading(_AT_ONCE)
    own: Reading = _THREAD.reading
    return own
