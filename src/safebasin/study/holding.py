"""Which directions are held in memory: drawn, or read, once and not at every point."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from safebasin.directions import Direction, Resident
from safebasin.engines.fast.pooled import LowRank
from safebasin.engines.memory import free_bytes
from safebasin.weights import Weights

RESIDENT_BYTES = 128 * 2**20
"""Directions that take less than this together are held, however much is free."""

HELD_SHARE = 0.1
"""The share of the free memory that larger ones may take to be held so: a choice, as for copies of
weights. A direction of SmolLM2-135M takes .5 of 22 GiB; to draw it, or to take another model's
difference, takes .75 s of a point of 5 to 7, and .2 where it is held."""

Hold = Callable[[Direction], Direction]


def as_it_is(direction: Direction) -> Direction:
    """A direction that is not held."""
    return direction


def holding(count: int, weights: Weights) -> Hold:
    """What holds a direction in memory, or leaves it as it is, for so many of these weights.

    Small ones are drawn at once, others when they are asked for. One of low rank stays as it is:
    it is little, and an engine may go by its factors.
    """
    size = 4 * count * sum(math.prod(view.shape) for view in weights.views())
    small = size <= RESIDENT_BYTES
    # All processes of a divided model have to draw the same in the same order.
    fits = not weights.divided and size <= HELD_SHARE * free_bytes(torch.device("cpu"))
    if not (small or fits):
        return as_it_is

    def hold(direction: Direction) -> Direction:
        if isinstance(direction, Resident | LowRank):
            return direction
        return Resident(direction, weights, workers=1, when_asked=not small)

    return hold
