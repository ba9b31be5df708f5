"""From the command to the plan: what `safebasin scan --dry-run` takes until it tells the time.

Each round starts a process in an empty folder and notes when its lines come. A first one, which
compiles and fills the caches of the system, does not count. How quiet the machine is shows in a
loop of Python that is timed before and after each round, of which the longer one is kept.

    python benchmarks/plan_seconds.py --model M --name smollm2 --advbench FILE --out FILE
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ASKED = ["--seeds", "1", "--steps", "4", "--limit", "16", "--max-new-tokens", "48", "--dry-run"]
LINES = {"time": "the plan, with its time", "run": "the run's name, by all of its digests"}
"""What the lines that are waited for tell, by their first words."""

ADDITIONS = 5_000_000


def once(command: Sequence[str]) -> dict[str, float]:
    """Seconds after which the lines of LINES came, and until the end. Raises where one did not."""
    found: dict[str, float] = {}
    # What was compiled before is used, and is written where it was not.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                if (word := line.split(" ")[0]) in LINES:
                    found.setdefault(word, time.perf_counter() - start)
        found["end"] = time.perf_counter() - start
    if process.returncode or found.keys() != {*LINES, "end"}:
        raise RuntimeError(f"no plan came of {' '.join(command)}")
    return {name: round(seconds, 2) for name, seconds in found.items()}


def loop() -> float:
    """Seconds of a loop that does always the same."""
    start, total = time.perf_counter(), 0
    for i in range(ADDITIONS):
        total += i * i
    return round(time.perf_counter() - start, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", help="What the page calls the model.")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub is not reachable.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    prompts = f"advbench={Path(given.advbench).resolve()}" if given.advbench else "advbench"
    model = str(Path(given.model).resolve()) if Path(given.model).exists() else given.model
    command = [sys.executable, "-m", "safebasin", "scan", model, "--prompts", prompts, *ASKED]
    once(command)
    rounds: list[dict[str, float]] = []
    for _ in range(given.rounds):
        before = loop()
        rounds.append({**once(command), "loop": max(before, loop())})
        print(rounds[-1], flush=True)
    value: dict[str, Any] = {
        "model": given.name or given.model,
        "asked": " ".join(ASKED),
        "seconds": {name: [one[name] for one in rounds] for name in rounds[0]},
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    given.out.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
