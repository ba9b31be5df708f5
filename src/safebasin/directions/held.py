"""Directions held in memory, such as those that a search has found."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.tensor_files import write_tensors


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
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(base64.b64decode(spec["safetensors"], validate=True))
        except (SafetensorError, ValueError) as error:
            raise DirectionError(
                f"The values of the direction '{spec['name']}' are damaged.",
                "Take its specification from where it was written.",
            ) from error
        return cls(spec["name"], tensors)

    def spec(self) -> dict[str, Any]:
        from safetensors.torch import save

        values = base64.b64encode(save(self._scaled(1.0))).decode()
        return {"kind": self.kind, "name": self.name, "safetensors": values}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        return self.tensors.get(parameter.name)

    def save(self, path: Path, scale: float = 1.0) -> Path:
        """Write it as safetensors, for `--directions`.

        Raises RunError where its folder is a link or it cannot be written.
        """
        return write_tensors(path, self._scaled(scale))

    def _scaled(self, scale: float) -> dict[str, Tensor]:
        return {name: (t * scale).cpu().contiguous() for name, t in self.tensors.items()}
