"""Norms, turns by positions, and the gate of a gated perceptron."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

import numpy
from numba import carray, njit

from safebasin.engines.fast.compiled.memory import (
    FLOAT,
    LOG2_E,
    OPTIONS,
    F,
    exponentials,
    floats,
    int64s,
    own_part,
    read,
    rounded,
    write,
)


def norm(given):
    g = carray(given, (1,))[0]
    short = g.short != 0
    wide = 2 if short else 4
    begin, end, thread = own_part(g.tokens)
    n = g.width
    room = g.scratch + thread * 3 * n * FLOAT
    x_room, y_room, gain_room = room, room + n * FLOAT, room + 2 * n * FLOAT
    x, y = carray(floats(x_room), (n,)), carray(floats(y_room), (n,))
    gain = carray(floats(gain_room), (n,))
    read(g.gain, n, gain_room, short)
    for token in range(begin, end):
        at = token * n * wide
        read(g.x + at, n, x_room, short)
        if g.y != 0:
            read(g.y + at, n, y_room, short)
            for i in range(n):
                x[i] += y[i]
            write(x_room, n, g.x + at, short)
        total = F(0)
        for i in range(n):
            total += x[i] * x[i]
        scale = F(1) / numpy.sqrt(total / F(n) + F(g.eps))
        for i in range(n):
            y[i] = x[i] * scale * gain[i]
        write(y_room, n, g.to + at, short)


@njit(**OPTIONS)
def _turned(room, heads, size, cos, sin, to, short):
    """Heads at `room` turned, to another address."""
    half = size // 2
    for head in range(heads):
        x = carray(floats(room + head * size * FLOAT), (size,))
        y = carray(floats(to + head * size * FLOAT), (size,))
        for i in range(half):
            y[i] = x[i] * cos[i] + x[i + half] * sin[i]
            y[i + half] = x[i + half] * cos[i + half] + x[i] * sin[i + half]
    rounded(to, heads * size, short)


def turn(given):
    g = carray(given, (1,))[0]
    short = g.short != 0
    wide = 2 if short else 4
    begin, end, thread = own_part(g.tokens)
    size, queries, keys = g.size, g.heads * g.size, g.shared * g.size
    room = g.scratch + thread * queries * FLOAT
    positions, places = carray(int64s(g.positions), (end,)), carray(int64s(g.places), (end,))
    for token in range(begin, end):
        angle = positions[token] * size * FLOAT
        cos = carray(floats(g.cos + angle), (size,))
        sin = carray(floats(g.sin + angle), (size,))
        kept = g.kept + places[token] * 2 * keys * FLOAT
        read(g.query + token * g.query_row * wide, queries, room, short)
        _turned(room, g.heads, size, cos, sin, g.turned + token * queries * FLOAT, short)
        read(g.key + token * g.key_row * wide, keys, room, short)
        _turned(room, g.shared, size, cos, sin, kept, short)
        read(g.value + token * g.value_row * wide, keys, kept + keys * FLOAT, short)


def gate(given):
    g = carray(given, (1,))[0]
    short = g.short != 0
    wide = 2 if short else 4
    begin, end, thread = own_part(g.tokens)
    n = g.width
    room = g.scratch + thread * 3 * n * FLOAT
    x_room, y_room, spare = room, room + n * FLOAT, room + 2 * n * FLOAT
    x, y = carray(floats(x_room), (n,)), carray(floats(y_room), (n,))
    for token in range(begin, end):
        read(g.gate + token * g.gate_row * wide, n, x_room, short)
        for i in range(n):
            y[i] = -x[i] * LOG2_E
        exponentials(y, n, spare)
        for i in range(n):
            x[i] /= F(1) + y[i]
        rounded(x_room, n, short)
        read(g.up + token * g.up_row * wide, n, y_room, short)
        for i in range(n):
            x[i] *= y[i]
        write(x_room, n, g.to + token * n * wide, short)
