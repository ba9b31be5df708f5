"""The kernels as C functions, compiled by Numba for the processor at hand and kept on the disk."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import NamedTuple

import llvmlite.binding
from numba import cfunc, from_dtype, types

from safebasin.engines.fast.compiled import records
from safebasin.engines.fast.compiled.attention import attention
from safebasin.engines.fast.compiled.between import gate, norm, turn
from safebasin.engines.fast.compiled.choosing import choose
from safebasin.engines.fast.compiled.memory import COUNT, NUMBER, OPTIONS
from safebasin.engines.fast.compiled.team import Team


class Functions(NamedTuple):
    """The addresses of the C functions, each of one record, by which every thread of a team does
    its share."""

    norm: int
    turn: int
    attend: int
    gate: int
    choose: int


_made: list[object] = []  # they live as long as their addresses may be called


def functions(repeats: int, size: int, team: Team) -> Functions:
    """Those for models where `repeats` query heads of `size` elements share keys."""
    llvmlite.binding.add_symbol(NUMBER, team.number_address)
    llvmlite.binding.add_symbol(COUNT, team.count_address)
    bodies = (
        (records.NORM, norm),
        (records.TURN, turn),
        (records.ATTEND, attention(repeats, size)),
        (records.GATE, gate),
        (records.CHOOSE, choose),
    )
    made = [
        cfunc(types.void(types.CPointer(from_dtype(record))), **OPTIONS)(body)
        for record, body in bodies
    ]
    _made.extend(made)
    return Functions(*(int(one.address or 0) for one in made))
