"""What can be made of several directions: sums, inner products, principal directions, projections.

Everything is streamed: one tensor of each direction is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from safebasin.directions.kinds import rebuild
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import inner

# Below this share of the largest eigenvalue a principal direction is rounding noise.
_RANK = 1e-10


class Combination:
    """A sum of directions: d = Σ c_i·d_i, in float64 and rounded once.

    Such as the principal directions of a training run (Li et al., arXiv 1712.09913, Sec. 7).
    """

    kind: ClassVar[str] = "combination"
    random: ClassVar[bool] = False

    def __init__(self, terms: Sequence[tuple[float, Direction]], *, name: str) -> None:
        if not terms or not all(math.isfinite(coefficient) for coefficient, _ in terms):
            raise DirectionError(
                f"The sum '{name}' has no terms, or coefficients that are not finite.",
                "Give finite numbers.",
            )
        self.terms = tuple(terms)
        self.name = name

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Combination:
        """The sum of a `spec()`, each of its directions rebuilt."""
        terms = [(float(c), rebuild(inner, weights)) for c, inner in spec["terms"]]
        return cls(terms, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "terms": [[coefficient, direction.spec()] for coefficient, direction in self.terms],
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        total: Tensor | None = None
        for coefficient, direction in self.terms:
            step = direction.tensor(parameter)
            if step is None:
                continue
            scaled = step.double().mul_(coefficient)
            total = scaled if total is None else total.add_(scaled.to(total.device))
        return None if total is None else total.float()


def relative(direction: Direction, weights: Weights, *, name: str | None = None) -> Combination:
    """The direction scaled to ‖d‖ = ‖θ‖ as a whole, so that a coefficient is a relative length.

    AsFT's effective perturbation length (arXiv 2506.08473, Eq. 5) is the width of the basin along
    such a direction. Raises DirectionError where the direction is zero.
    """
    own = math.hypot(*(weights.norm(parameter.name) for parameter in weights.parameters))
    [[square]] = gram([direction], weights)
    if square == 0:
        raise DirectionError(
            f"The direction '{direction.name}' is zero on these weights.",
            "Select weights that it moves.",
        )
    scale = own / math.sqrt(square)
    return Combination([(scale, direction)], name=name or f"{direction.name}-relative")


def gram(directions: Sequence[Direction], weights: Weights) -> NDArray[np.float64]:
    """The inner products of all pairs over the selected weights: (n, n), float64."""
    count = len(directions)
    sums: list[list[list[float]]] = [[[] for _ in range(count)] for _ in range(count)]
    for view in weights.views():
        tensors = [direction.tensor(view) for direction in directions]
        for i, first in enumerate(tensors):
            for j in range(i + 1):
                second = tensors[j]
                if first is not None and second is not None:
                    sums[i][j].append(inner(first, second))
    result = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1):
            result[i, j] = result[j, i] = math.fsum(sums[i][j])
    return result


@dataclass(frozen=True)
class Principal:
    """The first principal directions of a series, and the share of its squares that each explains.

    `directions` are orthogonal and as long as the last of the series, so that the last one's
    coordinates on them are at most 1; each points to its side.
    """

    directions: tuple[Combination, ...]
    shares: tuple[float, ...]


def principal(series: Sequence[Direction], weights: Weights, count: int = 2) -> Principal:
    """The first principal directions of displacements from one origin, by their Gram matrix.

    Not centred, so that the origin lies on every plane they span (Li et al., arXiv 1712.09913,
    Sec. 7, take the final model as theirs). Only n x n inner products are held.

    Raises DirectionError where the series spans fewer than `count` dimensions.
    """
    if len(series) < count:
        raise DirectionError(
            f"{count} principal directions need {count} checkpoints; {len(series)} are given.",
            "Give more checkpoints, or a random second direction.",
        )
    products = gram(series, weights)
    values, vectors = np.linalg.eigh(products)
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[0] <= 0 or values[count - 1] <= _RANK * values[0]:
        raise DirectionError(
            f"The checkpoints span fewer than {count} dimensions.",
            "Give checkpoints that differ, or a random second direction.",
        )
    length = math.sqrt(products[-1, -1]) or math.sqrt(float(values[0]))
    made = []
    for k in range(count):
        weights_of = vectors[:, k] / math.sqrt(values[k])
        coordinate = float(products[-1] @ weights_of)
        scale = length * (-1 if coordinate < 0 else 1)
        terms = [(float(scale * w), d) for w, d in zip(weights_of, series, strict=True)]
        made.append(Combination(terms, name=f"principal-{k + 1}"))
    total = float(np.trace(products))
    return Principal(tuple(made), tuple(float(value) / total for value in values[:count]))


@dataclass(frozen=True)
class Projection:
    """Where a displacement lies on a plane.

    coordinates  its coefficients along the axes
    length       ‖δ‖ / ‖θ‖ of the whole displacement
    residual     the share of ‖δ‖ that is not in the plane, in [0, 1]; 0 where δ is zero
    """

    coordinates: tuple[float, ...]
    length: float
    residual: float


def project(
    series: Sequence[Direction], axes: Sequence[Direction], weights: Weights
) -> list[Projection]:
    """The orthogonal projections of displacements on the plane of some axes, not all parallel."""
    products = gram([*axes, *series], weights)
    among = products[: len(axes), : len(axes)]
    own = math.hypot(*(weights.norm(parameter.name) for parameter in weights.parameters))
    found = []
    for i in range(len(axes), len(products)):
        square, along = products[i, i], products[i, : len(axes)]
        coordinates = np.linalg.lstsq(among, along, rcond=None)[0]
        inside = float(along @ coordinates)
        residual = math.sqrt(max(0.0, 1 - inside / square)) if square else 0.0
        length = math.sqrt(square) / own if own else 0.0
        found.append(Projection(tuple(map(float, coordinates)), length, residual))
    return found
