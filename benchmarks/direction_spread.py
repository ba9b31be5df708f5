"""How much do the landscapes of one model differ between random directions?

Packaged models along many directions, each measure taken on every direction. `share` is the
standard deviation over directions as a share of the geometric mean of the measure's distances
from its two limits; of sharpness, that of its logarithm. `safebasin.landscape.intervals` assumes
about so much where few directions were measured.

    python benchmarks/direction_spread.py --out benchmarks/results/direction_spread.json

Of another model, on a grid and prompts that fit it; with --runs a scan that was stopped goes on:

    python benchmarks/direction_spread.py --model FOLDER --name NAME --prompts advbench.csv \
      --directions 8 --radius 0.16 --steps 8 --limit 24 --max-new-tokens 24 \
      --judge refusal --runs runs --out benchmarks/results/direction_spread_real.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from safebasin import ScanConfig, prepare, scan
from safebasin.config import DEFAULT_PROMPTS
from safebasin.landscape import Estimate, Summary
from safebasin.landscape.intervals import LOG_SPREAD, SPREAD

MODELS = ("testbed:aligned", "testbed:mixture", "testbed:benign", "testbed:harmful-10")
JUDGE = "llm-landscape"


def spreads(summary: Summary) -> dict[str, Any]:
    """Of each measure its mean, its standard deviation between directions, and `share`."""
    basin, walls = summary.basin, summary.sharpness
    if basin is None or walls is None:
        raise SystemExit("The scan is of no line.")
    reach = basin.negative.reach + basin.positive.reach
    found = {
        "visage": bounded(summary.visage, 100.0),
        "auc": bounded(summary.auc, 1.0),
        "width": bounded(basin.width, reach),
        "edge": bounded(basin.positive.width, basin.positive.reach),
    }
    logs = np.log([v for v in walls.positive.each if v is not None])
    if len(logs) > 2:
        found["sharpness"] = {"mean": float(np.exp(logs.mean())), "share": float(logs.std(ddof=1))}
    return found


def bounded(estimate: Estimate, limit: float) -> dict[str, Any]:
    each = np.array([v for v in estimate.each if v is not None])
    mean, deviation = float(each.mean()), float(each.std(ddof=1))
    room = math.sqrt(mean * (limit - mean))
    return {"mean": mean, "deviation": deviation, "share": deviation / room if room > 0 else 0.0}


def measured(model: str, given: argparse.Namespace, folder: Path) -> Summary:
    """What a scan of one model says, in a run of its own that is found again."""
    config = ScanConfig(
        model=model, seeds=tuple(range(given.directions)), radius=given.radius, steps=given.steps,
        prompts=given.prompts, first=given.prompts != DEFAULT_PROMPTS, limit=given.limit,
        max_new_tokens=given.max_new_tokens, judges=(given.judge,), out=str(folder),
    )  # fmt: skip
    return scan(prepare(config)).summary


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="In place of the packaged ones.")
    parser.add_argument("--name", help="What the result calls that model.")
    parser.add_argument("--prompts", default=DEFAULT_PROMPTS, help="Of a file, its first rows.")
    parser.add_argument("--directions", type=int, default=16)
    parser.add_argument("--radius", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--judge", default=JUDGE)
    parser.add_argument("--runs", type=Path, help="Where the runs are kept.")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        for number, model in enumerate([given.model] if given.model else MODELS):
            summary = measured(model, given, folder / f"run-{number}")
            origin = None if summary.origin is None else summary.origin.asr.value
            name = given.name or model
            rows.append({"model": name, "origin": origin, "measures": spreads(summary)})
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "directions": given.directions,
        "prompts": given.limit,
        "prompt_set": Path(given.prompts).stem if given.model else given.prompts,
        "radius": given.radius,
        "points": given.steps + 1,
        "max_new_tokens": given.max_new_tokens,
        "judge": given.judge,
        "assumed": SPREAD,
        "assumed_logarithm": LOG_SPREAD,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        "rows": rows,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
