"""A direction restricted to an interval of blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from safebasin.directions.kinds import rebuild
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import fp32, inner


class Restricted:
    """A direction within blocks `first` to `last`, both included, and as long as all of it.

    d' = d·‖d‖ / ‖d_{first..last}‖ in these blocks, nothing elsewhere, so that noise in one interval
    and in another are of one length at one coefficient, and both as long as the noise in all. Where
    safety lies in some layers (Li et al., arXiv 2408.17003, Sec. 3) it is lost at a smaller one
    there.

    ‖d‖ is taken over `weights`, in float64, when a tensor is first asked for. Raises DirectionError
    where none of the weights is in these blocks, and then where the direction does not move them.
    """

    kind: ClassVar[str] = "restricted"
    random: ClassVar[bool] = False

    def __init__(
        self,
        direction: Direction,
        first: int,
        last: int,
        weights: Weights,
        *,
        name: str | None = None,
    ) -> None:
        self.direction, self.weights = direction, weights
        self.first, self.last = int(first), int(last)
        self.name = name or f"{direction.name}-blocks-{self.first}-{self.last}"
        if not any(map(self._within, weights.parameters)):
            raise self._unmoved()

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Restricted:
        """The direction of a `spec()`, the one within it rebuilt."""
        inside = rebuild(spec["direction"], weights)
        return cls(inside, spec["first"], spec["last"], weights, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "direction": self.direction.spec(),
            "first": self.first,
            "last": self.last,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights or not self._within(parameter):
            return None
        step = self.direction.tensor(parameter)
        return None if step is None else step * self._factor

    def _within(self, parameter: Parameter) -> bool:
        return parameter.layer is not None and self.first <= parameter.layer <= self.last

    @cached_property
    def _factor(self) -> float:
        """‖d‖ / ‖d_{first..last}‖: all of it is drawn once."""
        inside: list[float] = []
        outside: list[float] = []
        for view in self.weights.views():
            step = self.direction.tensor(view)
            if step is not None:
                (inside if self._within(view) else outside).append(inner(step, step))
        own = math.fsum(inside)
        if own == 0:
            raise self._unmoved()
        return fp32(math.sqrt(math.fsum([*inside, *outside]) / own))

    def _unmoved(self) -> DirectionError:
        return DirectionError(
            f"'{self.direction.name}' does not move blocks {self.first} to {self.last}.",
            "Give blocks that the model has, and that are selected.",
        )
