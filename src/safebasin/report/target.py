"""Where a file that leaves a run may be written: nothing else is lost by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from safebasin.errors import UsageError
from safebasin.run.atomic import no_folder
from safebasin.run.folder import MANIFEST, POINTS
from safebasin.terminal import printable

HEAD = 4096
"""How many bytes of a file tell what it is."""


def check_target(path: Path, own: re.Pattern[bytes]) -> None:
    """Refuse a file whose writing would destroy something other than an earlier one of its kind.

    own: what is found in the first 4096 bytes of a file of that kind. An empty file may be
    replaced by any. Raises RunError where the folder does not exist, UsageError where the file
    exists and belongs to a run, or is of another kind.
    """
    if not path.parent.is_dir():
        raise no_folder(path)
    place = path.parent.resolve() / path.name
    if not os.path.lexists(place):
        return
    shown = printable(str(path))
    if (run := _run_above(place)) is not None:
        raise UsageError(
            f"'{shown}' is a file of the run '{printable(str(run))}', which would be destroyed.",
            "Name a file outside the run folder.",
        )
    if not place.is_file():
        raise UsageError(f"'{shown}' is no plain file.", "Name another one.")
    with place.open("rb") as file:
        head = file.read(HEAD)
    if head and own.search(head) is None:
        raise UsageError(
            f"'{shown}' exists and is none that this command wrote.",
            "Name another file, or remove this one first.",
        )


def _run_above(place: Path) -> Path | None:
    """The run folder that a path lies in, or None."""
    return next(
        (
            folder
            for folder in place.parents
            if (folder / MANIFEST).is_file() and (folder / POINTS).is_dir()
        ),
        None,
    )
