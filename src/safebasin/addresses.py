"""Addresses of object stores, where no run folder can be: they are refused, not taken for folders.

An object store has no locks and renames by copying, so that two processes could write one run and a
crash could leave half a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from safebasin.errors import UsageError
from safebasin.terminal import printable, shorten

# `Path` makes one slash of two; a single letter is a drive.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path; raises UsageError for an address in its place, such as `s3://bucket/run`."""
    found = _ADDRESS.fullmatch(os.fspath(path))
    if found is not None:
        address = shorten(printable(f"{found[1]}://{found[2]}"))
        raise UsageError(
            f"'{address}' is an address, and runs and their files are kept on a file system only.",
            "Give a path; copy a whole run to an object store when it has ended, or from it first.",
        )
    return Path(path)
