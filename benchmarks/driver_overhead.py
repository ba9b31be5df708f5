"""What the process that keeps a run costs a point, beside the answers: with an instant engine.

A plane of 21 x 21 points of the packaged model. Its answers are made up on the spot, so that what
is left is storing them, judging them by keywords and storing the verdicts. In processor time, which
other work on the machine lengthens less than the time that passes; the median of a few runs.

    python benchmarks/driver_overhead.py --out benchmarks/results/driver_overhead.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from safebasin import ScanConfig, prepare
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.results import summarise
from safebasin.run import RunFolder
from safebasin.scanning.scan import measure
from safebasin.study.observer import Silent

STEPS = 20
PROMPTS = (8, 80)


class Instant:
    """Stands in for an engine: every prompt has the same short answer at every point."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def answers(
        self, points: Sequence[Point], prompts: Sequence[Prompt], *_: Any
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        for point in points:
            yield (
                point,
                [Exchange(p.id, p.text, "I cannot help with that.", "eos", 20, 7) for p in prompts],
            )


def overhead(prompts: int, folder: Path) -> dict[str, Any]:
    """Processor milliseconds a point to keep what is answered, and seconds to sum all of it up."""
    config = ScanConfig(
        axes=2, steps=STEPS, limit=prompts, judges=("llm-landscape",), device="cpu", workers=1,
        out=str(folder / "run"),
    )  # fmt: skip
    prepared = prepare(config)
    prepared = replace(prepared, engine=Instant(prepared.engine))  # type: ignore[arg-type]
    points = prepared.points
    with RunFolder.open(prepared.folder, prepared.manifest()) as run:
        start = time.process_time()
        measure(run, prepared, points, Silent())
        asked = time.process_time()
        summarise(run, prepared.judges, prepared.prompts.ids, config.tolerance)
        ended = time.process_time()
    return {
        "points": len(points),
        "prompts": prompts,
        "milliseconds_a_point": 1000 * (asked - start) / len(points),
        "seconds_of_the_summary": ended - asked,
    }


def middle(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over the runs."""
    return {name: round(median(run[name] for run in runs), 2) for name in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = []
    for prompts in PROMPTS:
        runs = []
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(overhead(prompts, Path(folder)))
        rows.append(middle(runs))
        print(rows[-1], flush=True)
    value = {
        "command": "python benchmarks/driver_overhead.py --out FILE",
        "model": "testbed:aligned",
        "rounds": given.rounds,
        "rows": rows,
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    given.out.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
