"""What landscapes of large models cost on one GPU, from what `benchmarks/gpu.py` measured.

A line was measured; a plane and a study of three directions hold more points of the same kind. A
model that was not measured is taken to need as much longer as a pass reads more bytes of weights,
divided over as many GPUs as hold it: a model of the cost, without what dividing costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safebasin.config import ScanConfig
from safebasin.plane import outward

STUDIES: dict[str, Mapping[str, Any]] = {
    "line": {"seeds": (0,)},
    "study": {"seeds": (0, 1, 2)},
    "plane": {"axes": 2},
}
"""By name the settings of a scan with 20 steps: 21 points, three such lines, 21 x 21 points."""

STEPS, BYTES = 20, 2
SHARE = 0.92
"""Of a GPU's memory, that vLLM takes."""


@dataclass(frozen=True)
class Model:
    """The sizes of a Llama model, as the names of its configuration have them."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool = False

    @property
    def weights(self) -> int:
        keys = self.hidden * self.key_heads // self.heads
        layer = 2 * self.hidden * (self.hidden + keys) + 3 * self.hidden * self.intermediate
        tables = (1 if self.tied else 2) * self.vocabulary * self.hidden
        norms = (2 * self.layers + 1) * self.hidden
        return self.layers * layer + tables + norms

    @property
    def cache_bytes_a_token(self) -> int:
        """Of keys and values, in half precision."""
        return 2 * self.layers * self.key_heads * (self.hidden // self.heads) * BYTES


LLAMA_70B = Model(80, 8192, 28672, 64, 8, 128256)


@dataclass(frozen=True)
class Cost:
    """What one study of one model costs; `measured` where nothing about it is modelled."""

    points: int
    seconds: float
    gpus: int
    measured: bool

    @property
    def gpu_hours(self) -> float:
        return self.gpus * self.seconds / 3600


def points_of(study: str) -> int:
    """How many points a scan of that kind asks, each of them once."""
    return len(outward(ScanConfig(steps=STEPS, **STUDIES[study]).planes()))


def line_of(shape: Mapping[str, Any]) -> tuple[str, float, int]:
    """The way that answered the measured line soonest, its seconds and its points."""
    lines = {
        name: one for name, one in shape.items() if name.startswith("line") and "seconds" in one
    }
    name = min(lines, key=lambda each: lines[each]["seconds"])
    return name, float(lines[name]["seconds"]), int(lines[name]["points"])


def cost(shape: Mapping[str, Any], study: str) -> Cost:
    """The cost of a study of a measured shape; that of the line was itself measured."""
    _, seconds, measured = line_of(shape)
    points = points_of(study)
    return Cost(points, seconds * points / measured, 1, points == measured)


def scaled(shape: Mapping[str, Any], study: str, model: Model, gpus: int) -> Cost:
    """The cost for another model on so many GPUs, by the bytes that a pass reads."""
    own, more = cost(shape, study), model.weights / shape["displacing"]["weights"]
    return Cost(own.points, own.seconds * more / gpus, gpus, False)


def gpus_for(model: Model, memory: int, rows: int, tokens: int) -> int:
    """The smallest power of two of GPUs whose memory, in bytes, holds the weights and the rows."""
    needed, count = BYTES * model.weights + rows * tokens * model.cache_bytes_a_token, 1
    while needed > count * SHARE * memory:
        count *= 2
    return count
