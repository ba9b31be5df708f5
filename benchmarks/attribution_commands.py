"""The cases of benchmarks/attribution.py that time a whole command, as a person types it."""

from __future__ import annotations

import os
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
    with TemporaryDirectory() as folder, Path(folder, "log").open("w+", encoding="utf-8") as log:
        command = [sys.executable, "-P", "-m", "safebasin", "attribute", *asked, "--device", "cpu",
                   "--out", str(Path(folder, "out"))]  # fmt: skip
        began = time.perf_counter()
        env = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=env) as running:
            # What it took itself: RUSAGE_CHILDREN has the highest peak of all commands before it.
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        log.seek(0)
        told = log.read()
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command, stderr=told)
    return {
        "seconds": round(took, 1), "processor": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
        "passes": sum(line.startswith("a pass over ") for line in told.splitlines()),
    }  # fmt: skip
