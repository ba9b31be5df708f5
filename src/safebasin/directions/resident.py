"""Directions kept in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.directions.base import Essential
from safebasin.directions.kinds import rebuild
from safebasin.weights import Direction, Weights
from safebasin.weights.direction import Concurrent
from safebasin.weights.parameters import Parameter


class Resident:
    """A direction held in memory, so that it is drawn once and not at every point.

    With the default dtype the values are the same bit for bit. In a narrower dtype they are
    rounded, and the direction has a spec and a digest of its own. A coefficient means what it
    means along the direction itself: W = W0 + c·d (Peng et al. 2024, Sec. 3).

    It is drawn at once by `workers` threads, or each tensor `when_asked` for it, by who asks.
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
        when_asked: bool = False,
    ) -> None:
        self.direction = direction
        self.name = direction.name
        self.device = device
        self.dtype = dtype
        views = weights.views()
        self._missing = {view.name: math.prod(view.shape) * dtype.itemsize for view in views}
        self._tensors: dict[str, Tensor | None] = {}
        if not when_asked:
            # numpy and torch release the interpreter lock while they draw.
            with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
                list(pool.map(self._draw, views))

    @property
    def missing_bytes(self) -> int:
        """What it will take in memory besides what it holds by now."""
        return sum(self._missing.values())

    @property
    def concurrent(self) -> bool:
        """Whether several threads may ask for tensors, and gain by it: while they are drawn."""
        own = self.direction
        return bool(self._missing) and isinstance(own, Concurrent) and own.concurrent

    def _draw(self, view: Parameter) -> Tensor | None:
        tensor = self.direction.tensor(view)
        held = None if tensor is None else tensor.to(self.device, self.dtype)
        self._tensors[view.name] = held
        self._missing.pop(view.name, None)
        return held

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
        if parameter.name in self._missing:
            tensor = self._draw(parameter)
        else:
            tensor = self._tensors.get(parameter.name)
        return None if tensor is None else tensor.float()


def bytes_to_hold(directions: Iterable[Direction], device: torch.device) -> int:
    """What these directions will take of a device's memory besides what they take by now."""
    return sum(
        one.missing_bytes
        for one in directions
        if isinstance(one, Resident) and torch.device(one.device).type == device.type
    )
