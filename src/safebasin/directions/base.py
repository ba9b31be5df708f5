"""What can be said of any direction."""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, runtime_checkable

from torch import Tensor

from safebasin.config import Normalise
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.direction import Concurrent
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import inner, raw

AHEAD_BYTES = 256 * 2**20
"""How much of a direction is drawn, in float32, beside the tensor that is worked on."""


@runtime_checkable
class Essential(Protocol):
    """A direction that can be told from any other without all of its numbers."""

    def essence(self, parameter: Parameter) -> bytes | None:
        """Bytes that no other tensor of such a direction has; None where it has none."""
        ...


@runtime_checkable
class Normalised(Protocol):
    """A direction that is as long as the weights, in every tensor or every row."""

    weights: Weights
    normalise: Normalise


def cosine(a: Direction, b: Direction, weights: Weights) -> float:
    """The cosine of the angle between two directions, accumulated in float64.

    Raises DirectionError where one of them is zero.
    """
    aa, ab, bb = products(a, b, weights)
    for direction, square in ((a, aa), (b, bb)):
        if square == 0:
            raise DirectionError(
                f"Direction '{direction.name}' is zero on the selected weights.",
                "Select weights that it moves.",
            )
    return ab / math.sqrt(aa) / math.sqrt(bb)


def digest(direction: Direction, weights: Weights) -> str:
    """SHA-256 (hex) over the float32 tensors of a direction, in the order of parameter names.

    Of noise drawn by a counter, over what the tensors are drawn from.
    """
    total = hashlib.sha256()
    views = sorted(weights.views(), key=lambda view: view.name)
    essences = {view.name: _essence(direction, view) for view in views}
    whole = [view for view in views if essences[view.name] is None]
    several = isinstance(direction, Concurrent) and direction.concurrent
    # Parts of divided weights are put together by all processes in one order.
    ahead = several and not weights.divided
    drawn = _drawn_ahead(direction, whole) if ahead else map(direction.tensor, whole)
    for view in views:
        if (essence := essences[view.name]) is not None:
            total.update(f"{view.name}\0{view.shape}\0".encode())
            total.update(essence)
            continue
        tensor = next(drawn)
        if tensor is not None:
            total.update(f"{view.name}\0{tuple(tensor.shape)}\0".encode())
            total.update(raw(tensor))
    return total.hexdigest()


def _essence(direction: Direction, view: Parameter) -> bytes | None:
    return direction.essence(view) if isinstance(direction, Essential) else None


def _drawn_ahead(direction: Direction, views: Sequence[Parameter]) -> Iterator[Tensor | None]:
    """The direction's tensors in order, the next ones drawn by other threads meanwhile.

    NumPy and torch release the interpreter lock while they draw, and so does who hashes.
    """
    waiting = deque[tuple[int, Future[Tensor | None]]]()
    ahead = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for view in views:
            size = 4 * math.prod(view.shape)
            while waiting and ahead + size > AHEAD_BYTES:
                done, future = waiting.popleft()
                yield future.result()
                ahead -= done
            waiting.append((size, pool.submit(direction.tensor, view)))
            ahead += size
        while waiting:
            yield waiting.popleft()[1].result()


def products(a: Direction, b: Direction, weights: Weights) -> tuple[float, float, float]:
    """The inner products a·a, a·b and b·b over the selected weights."""
    aa, ab, bb = [], [], []
    for view in weights.views():
        x, y = a.tensor(view), b.tensor(view)
        if x is not None:
            aa.append(inner(x, x))
        if y is not None:
            bb.append(inner(y, y))
        if x is not None and y is not None:
            ab.append(inner(x, y))
    return math.fsum(aa), math.fsum(ab), math.fsum(bb)


def along_rows(values: Tensor, parameter: Parameter) -> Tensor:
    """Values, one a row, in a shape that multiplies the rows of the parameter."""
    shape = [1] * len(parameter.shape)
    shape[parameter.output_dim] = -1
    return values.reshape(shape)
