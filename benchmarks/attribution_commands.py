"""The cases of benchmarks/attribution.py that time a whole command, as a person types it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attribution_cases import Laboratory

THREADS = 1
"""Of one thread, since several that wait for each other on a busy machine burn processor time."""


def commands(lab: Laboratory) -> Iterator[str]:
    for method in lab.plan.timed:
        yield from lab.case(f"command/{method}", lambda m=method: _timed(lab, m))


def _timed(lab: Laboratory, method: str) -> dict[str, Any]:
    plan = lab.plan
    told = measured([method, plan.model, "--safety", plan.safety, "--utility", plan.utility])
    told.pop("passes")
    return {**told, "threads": THREADS,
            "rows": [len(lab.whole(source)) for source in ("safety", "utility")]}  # fmt: skip


def measured(asked: Sequence[str]) -> dict[str, Any]:
    """What `attribute` with these arguments takes, of all its processes and threads.

    Seconds on the clock and of processor time, the most memory that was in use, and how many passes
    over rows there were, as the log tells.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "safebasin", "attribute", *asked, "--device", "cpu",
                   "--out", str(Path(folder, "out"))]  # fmt: skip
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        env = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        done = subprocess.run(command, check=True, capture_output=True, env=env, text=True)
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = (getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))
    return {
        "seconds": round(took, 1), "processor": round(user + system, 1),
        "peak_gib": round(after.ru_maxrss / 2**20, 2),
        "passes": sum(line.startswith("a pass over ") for line in done.stderr.splitlines()),
    }  # fmt: skip
