"""How far one model lies from another, layer by layer."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from safebasin.directions import Direction
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import inner

WHOLE = "all"

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Distance:
    """‖θ' - θ‖ / ‖θ‖ over some of the parameters; None where those of the base are all zero."""

    where: str
    relative: float | None
    weights: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def distances(direction: Direction, weights: Weights) -> tuple[Distance, ...]:
    """The relative length of a displacement on the whole model, then on each block and table.

    Norm layers count to their block. One tensor is in memory at a time.
    """
    LOG.info("measuring how far the tuned weights are from the base's")
    steps: dict[str, list[float]] = {}
    norms: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for parameter in weights.parameters:
        where = where_of(parameter)
        step = direction.tensor(parameter)
        steps.setdefault(where, []).append(0.0 if step is None else math.sqrt(inner(step, step)))
        norms.setdefault(where, []).append(weights.norm(parameter.name))
        sizes[where] = sizes.get(where, 0) + math.prod(parameter.shape)
    whole = Distance(WHOLE, _ratio(_all(steps), _all(norms)), sum(sizes.values()))
    parts = [Distance(w, _ratio(steps[w], norms[w]), sizes[w]) for w in sizes]
    return (whole, *parts)


def where_of(parameter: Parameter) -> str:
    """The block that a parameter belongs to, or the table that it is."""
    if parameter.layer is not None:
        return f"layer {parameter.layer}"
    return parameter.name.removesuffix(".weight").rsplit(".", 1)[-1]


def _all(values: Mapping[str, list[float]]) -> list[float]:
    return [value for part in values.values() for value in part]


def _ratio(steps: list[float], norms: list[float]) -> float | None:
    own = math.hypot(*norms)
    return math.hypot(*steps) / own if own else None
