"""What weights are displaced along."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from safebasin.weights.parameters import Parameter


class Direction(Protocol):
    """Something to move along."""

    @property
    def name(self) -> str:
        """Unique among the directions of a run."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON values from which `rebuild` makes the same direction again."""
        ...

    def tensor(self, parameter: Parameter) -> Tensor | None:
        """The displacement of one parameter at coefficient 1: float32, of the parameter's shape.

        None where the direction leaves the parameter alone.
        """
        ...


@runtime_checkable
class Concurrent(Protocol):
    """A direction that says whether several threads may ask it for tensors at the same time."""

    concurrent: bool
