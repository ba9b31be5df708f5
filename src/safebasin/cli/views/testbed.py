"""How `safebasin testbed train` runs: progress with an estimate, then the table."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from safebasin.cli.console import duration, emit, say, tell
from safebasin.cli.steps import LINE_EVERY
from safebasin.testbed.recipe import STAGES, train


class TrainingProgress:
    """Tells how far the whole recipe is, from the share of time that each stage usually takes."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, stage: str, done: int, total: int) -> None:
        names = list(STAGES)
        before = sum(STAGES[name] for name in names[: names.index(stage)])
        share = before + STAGES[stage] * done / max(1, total)
        now = time.monotonic()
        if now - self._last < (1.0 if self._terminal else LINE_EVERY) or share <= 0:
            return
        self._last = now
        left = (now - self._began) * (1 - share) / share
        tell(f"{100 * share:3.0f} % · {stage} {done}/{total} · {duration(left)} left")


def run_training(out: Path, *, seed: int, threads: int | None, device: str, as_json: bool) -> None:
    """Train and measure; a missed gate is an error that names it, with the report written."""
    report = train(out, seed=seed, threads=threads, device=device, progress=TrainingProgress())
    if as_json:
        emit(report)
        return
    for gate in report["gates"]:
        mark = "met   " if gate["passed"] else "missed"
        say(f"{mark} {gate['name']}: {100 * gate['value']:.1f} %")
    say(f"models and report in {out}")
