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

LOOKS = 0.1
"""Seconds between two looks at the memory of a command."""

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
            status, used, peak = _awaited(running.pid)
            running.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        log.seek(0)
        told = log.read()
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command, stderr=told)
    return {
        "seconds": round(took, 1), "processor": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(peak / 2**30, 2),
        "passes": sum(line.startswith("a pass over ") for line in told.splitlines()),
    }  # fmt: skip


def _awaited(process: int) -> tuple[int, Any, int]:
    """The status of a child that has ended, its times, and its peak of resident memory in bytes.

    The peak is read while it runs, where the system tells it: what `wait4` tells begins at that of
    the process which started it, and RUSAGE_CHILDREN has the highest of all commands before.
    """
    peak, told = 0, Path(f"/proc/{process}/status")
    while True:
        ended, status, used = os.wait4(process, os.WNOHANG)
        if ended:
            return status, used, peak or 1024 * used.ru_maxrss
        lines = told.read_text(encoding="ascii").splitlines() if told.exists() else ()
        now = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
        peak = max([peak, *(1024 * kib for kib in now)])
        time.sleep(LOOKS)
