"""Directions that move a set of weights only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.directions.kinds import rebuild
from safebasin.weights import Direction, Weights
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter


class Masked:
    """A direction within a set of weights: d' = m ⊙ d; all others stay.

    Such as the part of a fine-tune's change within what a method has located (Wei et al., arXiv
    2402.05162, Sec. 4). `Masked(d, ~m)` is the rest. Parameters of which the mask does not speak
    are not moved.
    """

    kind: ClassVar[str] = "masked"
    random: ClassVar[bool] = False

    def __init__(self, direction: Direction, mask: Mask, *, name: str | None = None) -> None:
        self.direction, self.mask = direction, mask
        self.name = name or f"{direction.name}-in-{mask.name}"

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Masked:
        """The direction of a `spec()`, the one within it rebuilt."""
        inner = rebuild(spec["direction"], weights)
        return cls(inner, Mask.rebuild(spec["mask"]), name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "direction": self.direction.spec(),
            "mask": self.mask.spec(),
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        chosen = self.mask.tensor(parameter)
        step = None if chosen is None else self.direction.tensor(parameter)
        if chosen is None or step is None:
            return None
        return torch.where(chosen.to(step.device), step, 0.0)


class Pruned:
    """A set of weights removed: d = -m ⊙ W, so that they are 0 at coefficient 1.

    So Wei et al. (arXiv 2402.05162, Sec. 3.2) remove what they locate; at 0.5 the weights of the
    set are halved. The model with an empty mask is the model, bit for bit.
    """

    kind: ClassVar[str] = "pruned"
    random: ClassVar[bool] = False

    def __init__(self, mask: Mask, weights: Weights, *, name: str | None = None) -> None:
        self.mask, self.weights = mask, weights
        self.name = name or f"pruned-{mask.name}"

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Pruned:
        """The direction of a `spec()`, over the weights at hand."""
        return cls(Mask.rebuild(spec["mask"]), weights, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "mask": self.mask.spec()}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        chosen = self.mask.tensor(parameter) if parameter.name in self.weights else None
        if chosen is None:
            return None
        own = self.weights.pristine(parameter.name).float()
        return torch.where(chosen.to(own.device), -own, 0.0)
