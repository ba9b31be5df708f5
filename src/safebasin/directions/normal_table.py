"""Standard normals from uniform 32-bit integers, by a table and integer arithmetic alone.

A number u is read as signed and made odd: y = u | 1, a sign and one of 2^30 magnitudes. The share
p = |y| / 2^31 is the chance of a normal beyond z = -Φ^-1(p / 2) on either side, so that z(p) is
the quantile of |N(0, 1)|. The table has 256 cells in every octave of p, from 2^-31 to 1: y as
float32 (rounded to nearest, everywhere the same) holds the cell in the upper 17 of its bits, sign
included, and the place within the cell, f, in the lower 15. Within a cell z is interpolated:

    z = value[cell] + ((width[cell]·f + 2^14) >> 15)      in whole multiples of 2^-20

All of it fits 32 bits, and no device can round it otherwise. Exact in float32, and the sum of the
squares of any number of them is a whole number: it does not depend on the order of the additions.

Resolution: z is within 2^-19 of the quantile of p. The furthest is 6.23; a normal is beyond it
once in 2^31. Values are symmetric about zero.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNIT = 2.0**-20
"""What a normal is a whole multiple of."""

PLACE_BITS = 15
"""The bits of a float32 that tell the place within a cell; the others tell the cell."""

_CELLS = 1 << (32 - PLACE_BITS)
_PER_OCTAVE = 1 << (23 - PLACE_BITS)
_OCTAVES = 31
_BIAS = 127  # of the exponent of a float32: that of 1.0
_HALF = 1 << (PLACE_BITS - 1)
_MASK = (1 << PLACE_BITS) - 1


class Table(NamedTuple):
    """Of each cell the normal at its beginning, and how much it changes up to its end.

    int32 multiples of UNIT, by the upper 17 bits of a float32 as an unsigned number.
    """

    values: NDArray[np.int32]
    widths: NDArray[np.int32]


@cache
def table() -> Table:
    """The table, computed once in float64 and rounded to nearest."""
    cells = np.arange(_OCTAVES * _PER_OCTAVE + 1)
    octave, part = cells // _PER_OCTAVE, cells % _PER_OCTAVE
    shares = np.ldexp(1 + part / _PER_OCTAVE, octave - _OCTAVES)
    quantile = NormalDist().inv_cdf
    nodes = np.rint([-quantile(share / 2) / UNIT for share in shares.tolist()]).astype(np.int32)
    values, widths = (np.zeros(_CELLS, dtype=np.int32) for _ in range(2))
    begin = _BIAS * _PER_OCTAVE
    for start, sign in ((begin, 1), (begin + _CELLS // 2, -1)):
        values[start : start + len(nodes)] = sign * nodes
        widths[start : start + len(nodes) - 1] = sign * np.diff(nodes)
    values.setflags(write=False)
    widths.setflags(write=False)
    return Table(values, widths)


@cache
def packed_on(device: torch.device) -> Tensor:
    """The table on a device as int64, value·2^32 + width, so that one access reads both."""
    values, widths = table()
    both = (values.astype(np.int64) << 32) | widths.view(np.uint32).astype(np.int64)
    return torch.from_numpy(both).to(device)


class Reading:
    """The table read by NumPy for up to `size` numbers at a time, in memory that is used again."""

    def __init__(self, size: int) -> None:
        self._signed = np.empty(size, dtype=np.int32)
        self._bits = np.empty(size, dtype=np.uint32)
        self._cells = np.empty(size, dtype=np.intp)
        self._values = np.empty(size, dtype=np.int32)
        self._change = np.empty(size, dtype=np.int32)

    def normals(self, uniform: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Normals in multiples of UNIT of uniform integers, each by itself.

        The result lasts until the next call.
        """
        count = len(uniform)
        signed, bits, cells, values, change = (
            whole[:count]
            for whole in (self._signed, self._bits, self._cells, self._values, self._change)
        )
        np.bitwise_or(uniform.view(np.int32), np.int32(1), out=signed)
        np.copyto(bits.view(np.float32), signed, casting="unsafe")
        np.right_shift(bits, np.uint32(PLACE_BITS), out=signed.view(np.uint32))
        np.copyto(cells, signed)
        # Every index is within the table; in these modes none is tested, and nothing is copied.
        np.take(table().values, cells, out=values, mode="wrap")
        np.take(table().widths, cells, out=change, mode="wrap")
        np.bitwise_and(bits, np.uint32(_MASK), out=bits)
        np.multiply(change, bits.view(np.int32), out=change)
        np.add(change, np.int32(_HALF), out=change)
        np.right_shift(change, np.int32(PLACE_BITS), out=change)
        return np.add(values, change, out=values)


def normals_on(uniform: Tensor) -> Tensor:
    """The same with PyTorch, on the device of `uniform`: int32 to int32."""
    both = packed_on(uniform.device)
    bits = (uniform | 1).to(torch.float32).view(torch.int32)
    cell = both[((bits >> PLACE_BITS) & (_CELLS - 1)).long()]
    width = (((cell & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000).int()
    change = (width * (bits & _MASK) + _HALF) >> PLACE_BITS
    return (cell >> 32).int() + change
