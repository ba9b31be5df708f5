"""What kernels do with addresses: whose tokens are whose, reading, rounding and writing."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64
"""Bytes of memory that are read at once."""

FLOAT = 4
"""Bytes of a number."""

F, INT, UINT = numpy.float32, numpy.int32, numpy.uint32

OPTIONS: dict[str, Any] = {
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "error_model": "numpy",
    "cache": True,  # by the time of the file that a function is in, not of this one
}
"""What is no number stays so: sums may be taken in any order, but nothing is assumed finite."""

NUMBER, COUNT = "safebasin_thread_number", "safebasin_thread_count"
_thread = types.ExternalFunction(NUMBER, types.int32())
_threads = types.ExternalFunction(COUNT, types.int32())


def _pointer(dtype):
    """An intrinsic that takes an address for that of elements of this type."""

    @intrinsic
    def at(typing_context, address):
        pointer = types.CPointer(dtype)

        def generate(context, builder, signature, given):
            return builder.inttoptr(given[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return at


floats, int32s, int64s = map(_pointer, (types.float32, types.int32, types.int64))
uint32s, uint16s = map(_pointer, (types.uint32, types.uint16))


@intrinsic
def prefetch(typing_context, address):
    """Have the line of memory at an address brought near, without waiting for it."""

    def generate(context, builder, signature, given):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, second_level, data = number(0), number(2), number(1)
        builder.call(function, [builder.inttoptr(given[0], byte), to_read, second_level, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@njit(**OPTIONS)
def own_part(count):
    """Which of so many units are this thread's, from and to, and its number."""
    thread, threads = numpy.int64(_thread()), numpy.int64(_threads())
    return count * thread // threads, count * (thread + 1) // threads, thread


@njit(**OPTIONS)
def exponentials(x, n, room):
    """x[i] = 2^x[i], kept within 2^-126 and 2^127; `room` is the address of n numbers."""
    powers, bits = carray(floats(room), (n,)), carray(int32s(room), (n,))
    for i in range(n):
        v = x[i]
        v = F(-126) if v < F(-126) else v
        v = F(127) if v > F(127) else v
        whole = numpy.floor(v + F(0.5))
        rest = (v - whole) * F(0.6931471805599453)
        p = F(1 / 5040)  # the series of e^rest
        p = p * rest + F(1 / 720)
        p = p * rest + F(1 / 120)
        p = p * rest + F(1 / 24)
        p = p * rest + F(1 / 6)
        p = p * rest + F(1 / 2)
        p = p * rest + F(1)
        x[i] = p * rest + F(1)
        bits[i] = (INT(whole) + INT(127)) << INT(23)
    for i in range(n):
        x[i] *= powers[i]


LOG2_E = F(1.4426950408889634)


@njit(**OPTIONS)
def read(address, n, room, short):
    """n elements at an address, in bfloat16 or float32, to `room` in float32."""
    to, bits = carray(floats(room), (n,)), carray(uint32s(room), (n,))
    if short:
        halves = carray(uint16s(address), (n,))
        for i in range(n):
            bits[i] = UINT(halves[i]) << UINT(16)
    else:
        found = carray(floats(address), (n,))
        for i in range(n):
            to[i] = found[i]


@njit(**OPTIONS)
def rounded(room, n, short):
    """Round n float32 at `room` to bfloat16, where that is the model's dtype."""
    if short:
        bits = carray(uint32s(room), (n,))
        for i in range(n):
            given = bits[i]
            near = (given + UINT(0x7FFF) + ((given >> UINT(16)) & UINT(1))) & UINT(0xFFFF0000)
            is_number = (given & UINT(0x7FFFFFFF)) <= UINT(0x7F800000)
            bits[i] = near if is_number else UINT(0x7FC00000)


@njit(**OPTIONS)
def write(room, n, address, short):
    """n float32 at `room` to an address, in bfloat16 or float32; those at `room` are rounded."""
    if short:
        rounded(room, n, short)
        bits, halves = carray(uint32s(room), (n,)), carray(uint16s(address), (n,))
        for i in range(n):
            halves[i] = bits[i] >> UINT(16)
    else:
        found, to = carray(floats(room), (n,)), carray(floats(address), (n,))
        for i in range(n):
            to[i] = found[i]
