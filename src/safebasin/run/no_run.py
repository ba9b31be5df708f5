"""What is said of a folder that is no run: where its runs are, if it holds any."""

from __future__ import annotations

import os
from pathlib import Path

from safebasin.errors import RunError
from safebasin.terminal import printable

ATTRIBUTION = "attribution.json"
"""The record in the folder of `safebasin attribute`."""
SHOWN = 6
"""How many runs of a folder are named."""


def no_run(root: Path, mark: str) -> RunError:
    """The error for a folder without the file `mark`, which every run has.

    `evaluate`, `compare`, `trajectory`, `conditions` and `worst-case` keep several runs in one
    folder; the runs of such a folder are named, those that were judged where there are any.
    """
    shown = printable(str(root))
    if not os.path.lexists(root):
        return RunError(
            f"{shown} is not a run folder: it does not exist.",
            "Give the folder that `safebasin scan` printed.",
        )
    if (root / ATTRIBUTION).is_file():
        return RunError(
            f"{shown} is not a run folder: `safebasin attribute` wrote it.",
            f"`safebasin show {shown}` prints what was found.",
        )
    runs = sorted(path.parent for path in root.glob(f"*/{mark}"))
    runs = [run for run in runs if any(run.glob("verdicts/*/judge.json"))] or runs
    if not runs:
        return RunError(
            f"{shown} is not a run folder: it has no {mark}.",
            "Give the folder that `safebasin scan` printed.",
        )
    names = [printable(str(run)) for run in runs[:SHOWN]]
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return RunError(
        f"{shown} is not a run folder but a folder of runs, such as `safebasin evaluate` makes.",
        f"Give one of them: {', '.join(names)}{more}.",
    )
