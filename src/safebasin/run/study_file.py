"""Reads the file of a study, which is checked once, here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safebasin.errors import RunError
from safebasin.run import sealed
from safebasin.run.records import DamagedError
from safebasin.run.study_shapes import FILES
from safebasin.run.typed import what_is_wrong
from safebasin.terminal import printable

REMEDY = "Remove the file and run the same command again; it is made from the records."


def read_study_file(path: Path) -> dict[str, Any]:
    """What the file of a study holds.

    Raises:
        RunError: It was changed after it was written, or holds something else; the field is named.
    """
    try:
        stored = sealed.read(path)
    except DamagedError as error:
        raise RunError(f"{printable(str(path))} {error.what}.", REMEDY) from None
    except (OSError, ValueError) as error:
        raise RunError(
            f"{printable(str(path))} is damaged: it is not strict JSON ({error}).", REMEDY
        ) from error
    if (wrong := what_is_wrong(FILES[path.name], stored)) is not None:
        raise RunError(f"{printable(str(path))} is damaged: it {wrong}.", REMEDY)
    found: dict[str, Any] = stored
    return found
