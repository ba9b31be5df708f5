"""Directions kept in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.directions.base import Essential
from safebasin.directions.kinds import rebuild
from safebasin.weights import Direction, Weights
from safebasin.weights.parameters import Parameter


class Resident:
    """A direction held in memory, so that it is drawn once and not at every point.

    With the default dtype the values are the same bit for bit. In a narrower dtype they are
    rounded, and the direction has a spec and a digest of its own. A coefficient means what it
    means along the direction itself: W = W0 + c·d (Peng et al. 2024, Sec. 3).
    """

    kind: ClassVar[str] = "rounded"
    random: ClassVar[bool] = False

    def __init__(
        self,
        direction: Direction,
        weights: Weights,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        workers: int | None = None,
    ) -> None:
        self.direction = direction
        self.name = direction.name
        self.dtype = dtype
        views = weights.views()

        def draw(view: Parameter) -> Tensor | None:
            tensor = direction.tensor(view)
            return None if tensor is None else tensor.to(device, dtype)

        # numpy and torch release the interpreter lock while they draw.
        with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
            drawn = pool.map(draw, views)
            self._tensors = {view.name: tensor for view, tensor in zip(views, drawn, strict=True)}

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Resident:
        """The rounded direction of a `spec()`, the one that it holds rebuilt."""
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}[spec["dtype"]]
        return cls(rebuild(spec["direction"], weights), weights, dtype=dtype)

    def spec(self) -> dict[str, Any]:
        if self.dtype == torch.float32:
            return self.direction.spec()
        return {
            "kind": self.kind,
            "name": self.name,
            "dtype": str(self.dtype).removeprefix("torch."),
            "direction": self.direction.spec(),
        }

    def essence(self, parameter: Parameter) -> bytes | None:
        """That of the direction, where its values are the same."""
        if self.dtype == torch.float32 and isinstance(self.direction, Essential):
            return self.direction.essence(parameter)
        return None

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self._tensors:
            return None
        tensor = self._tensors[parameter.name]
        return None if tensor is None else tensor.float()
