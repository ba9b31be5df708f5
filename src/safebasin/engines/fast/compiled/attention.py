"""Attention of tokens to their rows' keys and values, each row where it lies."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

from numba import carray

from safebasin.engines.fast.compiled.memory import (
    FLOAT,
    LINE,
    LOG2_E,
    F,
    exponentials,
    floats,
    int64s,
    own_part,
    prefetch,
    write,
)


def attention(repeats, size):
    """For heads of constant sizes, which compilers unroll."""

    def attend(given):
        g = carray(given, (1,))[0]
        short = g.short != 0
        wide = 2 if short else 4
        begin, end, thread = own_part(g.tokens * g.parts)
        shared, longest, scaling = g.shared, g.longest, F(g.scaling) * LOG2_E
        heads, kept_row = shared * repeats, 2 * shared * size * FLOAT
        scores = g.scratch + thread * (heads * (longest + size) + longest) * FLOAT
        room, found = scores + heads * longest * FLOAT, scores + (heads + 1) * longest * FLOAT
        whole = carray(floats(found), (heads * size,))
        positions, places = carray(int64s(g.positions), (end,)), carray(int64s(g.places), (end,))
        lines = kept_row // LINE
        for unit in range(begin, end):
            token, part = unit // g.parts, unit % g.parts
            first, last = shared * part // g.parts, shared * (part + 1) // g.parts
            seen = positions[token] + 1
            keys = g.kept + (places[token] - positions[token]) * kept_row
            values = keys + shared * size * FLOAT
            ahead = keys
            if g.parts == 1 and token + 1 < end:  # the next row is brought near meanwhile
                ahead = g.kept + (places[token + 1] - positions[token + 1]) * kept_row
            asks = ahead != keys
            query = g.query + token * heads * size * FLOAT
            for place in range(seen):
                if asks:
                    for line in range(lines // 2):
                        prefetch(ahead + place * kept_row + line * LINE)
                for head in range(first, last):
                    k = carray(floats(keys + place * kept_row + head * size * FLOAT), (size,))
                    for repeat in range(repeats):
                        i = head * repeats + repeat
                        q = carray(floats(query + i * size * FLOAT), (size,))
                        score = F(0)
                        for d in range(size):
                            score += q[d] * k[d]
                        carray(floats(scores + i * longest * FLOAT), (seen,))[place] = score
            for i in range(first * repeats, last * repeats):
                x = carray(floats(scores + i * longest * FLOAT), (seen,))
                top = x[0]
                for place in range(seen):
                    top = x[place] if x[place] > top else top
                for place in range(seen):
                    x[place] = (x[place] - top) * scaling
                exponentials(x, seen, room)
                total = F(0)
                for place in range(seen):
                    total += x[place]
                for place in range(seen):
                    x[place] /= total
            for i in range(first * repeats * size, last * repeats * size):
                whole[i] = F(0)
            for place in range(seen):
                if asks:
                    for line in range(lines // 2, lines):
                        prefetch(ahead + place * kept_row + line * LINE)
                for head in range(first, last):
                    v = carray(floats(values + place * kept_row + head * size * FLOAT), (size,))
                    for repeat in range(repeats):
                        i = head * repeats + repeat
                        share = carray(floats(scores + i * longest * FLOAT), (seen,))[place]
                        y = carray(floats(found + i * size * FLOAT), (size,))
                        for d in range(size):
                            y[d] += share * v[d]
            own = first * repeats * size
            number = (last - first) * repeats * size
            write(found + own * FLOAT, number, g.to + (token * heads * size + own) * wide, short)

    return attend
