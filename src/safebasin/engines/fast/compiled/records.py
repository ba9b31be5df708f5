"""What each kernel is told: a C structure of sizes, of addresses of tensors, and of numbers.

In `short` stands whether the model is in bfloat16 (1) or float32 (0); tensors are in that dtype
where nothing else is said.
"""

from __future__ import annotations

import numpy


def record(names: str, *numbers: str) -> numpy.dtype[numpy.void]:
    """A C structure of int64, which are sizes and addresses, and float64."""
    fields = [(name, numpy.int64) for name in names.split()]
    return numpy.dtype([*fields, *((name, numpy.float64) for name in numbers)], align=True)


NORM = record("short tokens width x y gain to scratch", "eps")
"""x += y, and its norm. `x`, `y`, `to` [tokens, width], `gain` [width]; `y` is 0 where there is
none. `scratch` float32 [threads, 3, width]."""

TURN = record(
    "short tokens heads shared size query key value query_row key_row value_row cos sin "
    "positions places turned kept scratch"
)
"""Queries and keys are turned by their positions, keys and values are stored. Rows of `query`,
`key` and `value` begin so many elements apart. `cos`, `sin` float32 [positions, size], the sines of
the first half negative. `turned` float32 [tokens, heads, size]; `kept` float32 [places, 2, shared,
size]; `scratch` float32 [threads, heads · size]."""

ATTEND = record(
    "short tokens parts shared query kept positions places to scratch longest", "scaling"
)
"""Each token sees its row up to its own place; its key heads are divided into so many parts.
`query`, `to` [tokens, heads, size], the former in float32; `scratch` float32 [threads, heads ·
(longest + size) + longest], where longest is more than any position."""

GATE = record("short tokens width gate up gate_row up_row to scratch")
"""silu(gate) · up [tokens, width], whose rows begin so many elements apart; `scratch` float32
[threads, 3, width]."""

CHOOSE = record("short tokens width near hidden weight norms inputs best finite scratch")
"""The likeliest of `width` logits a token, and whether that one is a number, int64 [tokens] each.

`near` bfloat16 [tokens, width] are the logits, or, where there are `hidden` (0: there are none),
the products of these, float32 [tokens, inputs], and of `weight` float32 [width, inputs], all
rounded to bfloat16. Then those that may be the largest are computed again in float32: where u is
twice the rounding of one number, 2^-8, a product w·h is off by at most u·|w|·|h|, and by half a u
of itself when it is rounded. `norms` float32 [width] are |w|. `scratch` float32 [threads, chunks of
CHUNK logits + 2 · CHUNK]."""

CHUNK = 256
"""Logits of which the highest is remembered, so that most are looked at once."""
