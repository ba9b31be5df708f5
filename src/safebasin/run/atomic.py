"""Files that are either the old content or the new, whatever happens in between."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from safebasin.errors import RunError
from safebasin.terminal import printable

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
}


def write_atomic(path: Path, data: bytes) -> None:
    """Write the file so that no reader, and no crash, ever sees a part of it.

    Raises:
        RunError: It could not be written; what the file held before is intact.
    """
    temporary = path.parent / f".{path.name[:100]}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 (the call that tests interrupt)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames and new names in the folder survive a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_plain(path: Path) -> bytes:
    """The content of a regular file; a link, a pipe or a device is refused unread.

    Raises:
        FileNotFoundError: Nothing is there.
        RunError: It cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RunError(
                f"{printable(str(path))} is not a plain file.",
                "A run folder holds no links; remove it and run the same command again.",
            )
        with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise RunError(
            f"{printable(str(path))} cannot be read: {_reason(error)}.",
            "Make it readable, then run the same command again.",
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left below the folder.

    Call it only while holding the folder's lock.
    """
    for parent, _, names in os.walk(folder):
        for name in filter(is_temporary, names):
            with suppress(OSError):
                Path(parent, name).unlink()


def remove_study_leftovers(folder: Path) -> None:
    """Remove what a killed process left of a study's own files, its runs' not among them.

    Call it only while holding the locks of the study's runs.
    """
    for parent in (folder, folder / "figures"):
        for path in parent.glob(".*.tmp"):
            if is_temporary(path.name):
                with suppress(OSError):
                    path.unlink()


def is_temporary(name: str) -> bool:
    """Whether `write_atomic` gave a file this name."""
    return _TEMPORARY.fullmatch(name) is not None


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error to show where a path cannot be written; a run's records are intact."""
    if error.errno == errno.ENOENT and not path.parent.is_dir():
        return no_folder(path)
    return RunError(
        f"{printable(str(path))} cannot be written: {_reason(error)}.",
        "Nothing measured so far is lost. Free space or make the folder writable, then run the"
        " same command again.",
    )


def no_folder(path: Path) -> RunError:
    """The error to show where a file's folder does not exist."""
    return RunError(
        f"{printable(str(path))} cannot be written: there is no folder"
        f" '{printable(str(path.parent))}'.",
        "Make the folder first, or give a path in another one.",
    )


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
