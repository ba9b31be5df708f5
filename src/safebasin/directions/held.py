"""Directions held in memory, such as those that a search has found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.tensor_files import as_text, from_text, write_tensors


class Held:
    """A displacement held in memory, by parameter name: d_p = tensors[p], float32.

    So is what ascent within a ball finds (Madry et al., arXiv 1706.06083, Sec. 4). Its
    specification holds all of its values: save a large one, and give it as `Given`.
    """

    kind: ClassVar[str] = "held"
    random: ClassVar[bool] = False

    def __init__(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        self.name = name
        self.tensors = dict(tensors)

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Held:
        """The direction of a `spec()`; raises DirectionError where its values are damaged."""
        return cls(spec["name"], from_text(spec["safetensors"], f"the direction '{spec['name']}'"))

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "safetensors": as_text(self.tensors)}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        return self.tensors.get(parameter.name)

    def save(self, path: Path, scale: float = 1.0) -> Path:
        """Write it as safetensors, for `--directions`.

        Raises RunError where its folder is a link or it cannot be written.
        """
        return write_tensors(path, {name: t * scale for name, t in self.tensors.items()})
