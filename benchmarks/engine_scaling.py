"""Whether a point costs the same in a small and in a large plane, and what two Ray actors gain.

The packaged model in float32: planes of 5 x 5 to 21 x 21 points over the same stretch by the fast
engine, in processor time of one process; then two lines by the plain engine with one and with two
Ray actors, in time that passed, which says something on an idle machine of two cores only.

    python benchmarks/engine_scaling.py --out benchmarks/results/engine_scaling.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safebasin import Point, ScanConfig, prepare
from safebasin.spread.ray_actors import RayActors

STEPS = (4, 10, 20)
PROMPTS = 8


def plane(steps: int, folder: Path) -> dict[str, Any]:
    """Processor seconds to answer at every point of a plane."""
    config = ScanConfig(axes=2, steps=steps, limit=PROMPTS, device="cpu", out=str(folder / "run"))
    prepared = prepare(config)
    asked = prepared.prompts.prompts
    list(prepared.engine.answers([Point()], asked, prepared.sampling))
    start = time.process_time()
    count = sum(1 for _ in prepared.engine.answers(prepared.points, asked, prepared.sampling))
    seconds = time.process_time() - start
    return {"points": count, "seconds": round(seconds, 2), "a_point": round(seconds / count, 4)}


def actors(count: int, folder: Path) -> dict[str, Any]:
    """Seconds that pass from the first point that is complete to the last, by Ray actors."""
    config = ScanConfig(
        seeds=(0, 1),  # enough work that it matters little when the second actor is up
        limit=80,
        engine="plain",
        device="cpu",
        out=str(folder / "run"),
        workers=count,
    )
    prepared = prepare(replace(config, executor="ray"))
    asked = prepared.prompts.prompts
    answers = RayActors[Any](prepared.spread().recipe, prepared.config).answers(
        prepared.points, asked, prepared.sampling
    )
    next(answers)
    start = time.perf_counter()
    done = sum(1 for _ in answers)
    seconds = time.perf_counter() - start
    return {"actors": count, "points": done, "seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        planes = [plane(steps, Path(folder)) for steps in STEPS]
        print(planes, flush=True)
        load = os.getloadavg()[0]
        spread = [actors(count, Path(folder)) for count in (1, 2)]
        print(spread, f"load {load:.1f}", flush=True)
    value = {
        "command": "python benchmarks/engine_scaling.py --out FILE",
        "model": "testbed:aligned",
        "prompts": PROMPTS,
        "planes": planes,
        "ray": {"rows": spread, "load_before": round(load, 1)},
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers", "ray")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
    }
    given.out.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
