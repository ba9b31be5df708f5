"""`safebasin watch`: how a run goes on, in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.errors import UsageError


def watch(
    run: Annotated[Path, typer.Argument(help="A run folder; the scan need not have ended.")],
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and leave.")] = False,
) -> None:
    """Show a run as it grows: its curve, the points left, the time left, the last verdicts.

    It only reads, and leaves when the run is complete; Ctrl-C leaves at once.
    """
    if every < 0.2:
        raise UsageError(f"A look every {every} s was asked for.", "Give --every 0.2 or more.")
    from safebasin.cli.views.watch import run_watch

    run_watch(run, every=every, once=once)
