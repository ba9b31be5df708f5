"""The likeliest tokens, of logits in bfloat16 that are exact or only near."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator, assignment"

from __future__ import annotations

import numpy
from numba import carray, njit

from safebasin.engines.fast.compiled.memory import (
    FLOAT,
    INT,
    OPTIONS,
    UINT,
    F,
    floats,
    int32s,
    int64s,
    own_part,
    uint16s,
    uint32s,
)
from safebasin.engines.fast.compiled.records import CHUNK


@njit(**OPTIONS)
def _first_wrong(address, n):
    """The first of n bfloat16 that is no number, or else the first that is infinite."""
    bits = carray(uint16s(address), (n,))
    for i in range(n):
        if bits[i] & 0x7FFF > 0x7F80:
            return i
    for i in range(n):
        if bits[i] == 0x7F80:
            return i
    return 0


@njit(**OPTIONS)
def _widen(address, n, room):
    """n bfloat16 to `room` in float32, -inf as the least number; how many are none or infinite."""
    found, bits = carray(uint16s(address), (n,)), carray(uint32s(room), (n,))
    wrong = 0
    for i in range(n):
        given = found[i]
        wrong += INT(given & 0x7FFF > 0x7F80) | INT(given == 0x7F80)
        bits[i] = UINT(0xFF7F if given == 0xFF80 else given) << UINT(16)
    return wrong


@njit(**OPTIONS)
def _largest(room, n):
    """The largest of n numbers at `room`: as integers, whose search compilers make parallel."""
    bits = carray(int32s(room), (n,))
    top = INT(-(2**31))
    for i in range(n):
        given = bits[i]
        ordered = INT(given ^ ((given >> 31) & 0x7FFFFFFF))
        top = ordered if ordered > top else top
    bits[0] = INT(top ^ ((top >> 31) & 0x7FFFFFFF))
    return carray(floats(room), (n,))[0]


@njit(**OPTIONS)
def _bounds(logits, norms, off, unit, room):
    """The highest lower and upper bound of logits that are numbers, all of them."""
    n = len(logits)
    bounds = carray(floats(room), (n,))
    for i in range(n):
        bounds[i] = logits[i] - (off * norms[i] + abs(logits[i]) * unit)
    least = _largest(room, n)
    for i in range(n):
        bounds[i] = logits[i] + (off * norms[i] + abs(logits[i]) * unit)
    return least, _largest(room, n)


def choose(given):
    g = carray(given, (1,))[0]
    begin, end, thread = own_part(g.tokens)
    n, chunks = g.width, (g.width + CHUNK - 1) // CHUNK
    room = g.scratch + thread * (chunks + 2 * CHUNK) * FLOAT
    highest, logits_at = carray(floats(room), (chunks,)), room + chunks * FLOAT
    spare = logits_at + CHUNK * FLOAT
    best, finite = carray(int64s(g.best), (end,)), carray(int64s(g.finite), (end,))
    again = g.hidden != 0
    unit = F(_UNIT) if again else F(0)
    for token in range(begin, end):
        hidden = carray(floats(g.hidden + token * g.inputs * FLOAT), (g.inputs,))
        length = F(0)
        if again:
            for i in range(g.inputs):
                length += hidden[i] * hidden[i]
        off = numpy.sqrt(length) * unit
        least, wrong = F(-numpy.inf), 0
        for chunk in range(chunks):
            first = chunk * CHUNK
            count = min(CHUNK, n - first)
            wrong += _widen(g.near + (token * n + first) * 2, count, logits_at)
            logits = carray(floats(logits_at), (count,))
            norms = carray(floats(g.norms + first * FLOAT), (count,))
            low, highest[chunk] = _bounds(logits, norms, off, unit, spare)
            least = max(least, low)
        if wrong > 0:
            best[token], finite[token] = _first_wrong(g.near + token * n * 2, n), 0
            continue
        found, largest = 0, F(-numpy.inf)
        for chunk in range(chunks):
            if highest[chunk] < least:
                continue
            first = chunk * CHUNK
            count = min(CHUNK, n - first)
            _widen(g.near + (token * n + first) * 2, count, logits_at)
            logits = carray(floats(logits_at), (count,))
            norms = carray(floats(g.norms + first * FLOAT), (count,))
            for i in range(count):
                logit = logits[i]
                if logit + off * norms[i] + abs(logit) * unit < least:
                    continue
                if again:
                    at = g.weight + (first + i) * g.inputs * FLOAT
                    weight = carray(floats(at), (g.inputs,))
                    logit = F(0)
                    for d in range(g.inputs):
                        logit += hidden[d] * weight[d]
                if logit > largest:
                    found, largest = first + i, logit
        best[token], finite[token] = found, numpy.isfinite(largest)


_UNIT = 2**-8 * 1.01
"""Twice the rounding of one number to bfloat16, and a little for sums in float32."""
