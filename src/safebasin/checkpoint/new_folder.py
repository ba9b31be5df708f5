"""A folder of a model that is there as a whole or does not load."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safebasin.errors import RunBusy, RunError
from safebasin.run.atomic import cannot_write, is_temporary, sync_folder
from safebasin.run.lock import HOLDER, LOCK, lock_folder, unlock_folder

_WORK = ".merging"


def require_free(out: Path) -> None:
    """Raise RunError where a folder is neither new nor empty.

    What a killed merge left in it does not count.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"'{out}' is a file.", "Give a new folder.")
    try:
        names = {entry.name for entry in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise cannot_write(out, error) from error
    if any(name not in (LOCK, HOLDER, _WORK) and not is_temporary(name) for name in names):
        raise RunError(f"'{out}' is not empty.", "Give a new folder, or an empty one.")


@contextmanager
def new_folder(out: Path, size: int) -> Iterator[Path]:
    """A folder inside `out` that nobody else writes to; nothing is left of it."""
    made = not out.exists()
    try:
        lock = lock_folder(out)
    except RunBusy:
        raise RunBusy(
            f"Another process is merging into '{out}'.",
            "Wait until it ends, or give another folder.",
        ) from None
    work = out / _WORK
    try:
        require_free(out)
        if work.exists():
            shutil.rmtree(work)
        work.mkdir()
        free = shutil.disk_usage(out).free
        if free < size:
            raise RunError(
                f"The merged model takes {size / 1e9:.2f} GB, and the disk of '{out}' has "
                f"{free / 1e9:.2f} GB left.",
                "Free space, or give a folder on another disk.",
            )
        yield work
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        unlock_folder(out, lock)
        with suppress(OSError):
            (out / LOCK).unlink(missing_ok=True)
            if made and not any(out.iterdir()):
                out.rmdir()


def put_in_place(work: Path, out: Path) -> None:
    """Move everything from `work` to `out`, the config last: without it no model loads."""
    for folder, _, names in os.walk(work):
        for name in names:
            with Path(folder, name).open("r+b") as file:  # as Windows needs it to sync
                os.fsync(file.fileno())
    moved: list[Path] = []
    try:
        for path in sorted(
            work.iterdir(), key=lambda path: (path.name == "config.json", path.name)
        ):
            moved.append(path.rename(out / path.name))
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    sync_folder(out)
