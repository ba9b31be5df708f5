"""The cost of large landscapes, held against counts and sums made another way."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from scale_cost import LLAMA_70B, Model, cost, gpus_for, points_of, scaled  # noqa: E402

FOUND = json.loads((BENCHMARKS / "results" / "gpu.json").read_text(encoding="utf-8"))
SHAPES = {
    "llama-1b": Model(16, 2048, 8192, 32, 8, 128256, tied=True),
    "llama-8b": Model(32, 4096, 14336, 32, 8, 128256),
}


@pytest.mark.parametrize("name", SHAPES)
def test_weights_are_counted_as_torch_counts_them(name: str) -> None:
    model = SHAPES[name]
    # Those that are displaced: the norms are not.
    norms = (2 * model.layers + 1) * model.hidden
    assert FOUND[name]["displacing"]["weights"] in (model.weights, model.weights - norms)


def test_seventy_billion_weights_take_two_of_these_gpus() -> None:
    assert 70.5e9 < LLAMA_70B.weights < 70.6e9
    assert LLAMA_70B.cache_bytes_a_token == 80 * 2 * 1024 * 2
    memory = FOUND["machine"]["memory_bytes"]
    assert gpus_for(LLAMA_70B, memory, 80, 168) == 2
    assert gpus_for(LLAMA_70B, memory, 800, 168) == 4
    assert gpus_for(SHAPES["llama-8b"], memory, 80, 168) == 1


def test_a_study_costs_its_points() -> None:
    assert [points_of(one) for one in ("line", "study", "plane")] == [21, 61, 441]
    shape: dict[str, Any] = {
        "displacing": {"weights": LLAMA_70B.weights / 10},
        "line, pool": {"points": 21, "seconds": 42.0},
        "line, in place": {"points": 21, "seconds": 63.0},
        "line, as chosen": {"error": "RuntimeError"},
        "one point, in place": {"points": 1, "seconds": 1.0},
    }
    line, plane = cost(shape, "line"), cost(shape, "plane")
    assert (line.measured, plane.measured) == (True, False)
    assert math.isclose(line.gpu_hours, 42 / 3600)
    assert math.isclose(plane.gpu_hours, 441 * 2 / 3600)
    larger = scaled(shape, "line", LLAMA_70B, 4)
    assert not larger.measured
    assert math.isclose(larger.seconds, 10 * 42 / 4)
    assert math.isclose(larger.gpu_hours, 10 * 42 / 3600)
