"""Files that are either the old content or the new, whatever happens in between."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safebasin.addresses import local_path
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

    def put(temporary: Path) -> None:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    _replace(path, put)


def write_by(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_atomic`, for a file that another library writes to the path it is given.

    Raises:
        RunError: It could not be written; what the file held before is intact.
    """

    def put(temporary: Path) -> None:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        mode = stat.S_IMODE(temporary.stat().st_mode)
        write(temporary)
        temporary.chmod(mode)  # safetensors leaves a file that nobody else may read
        with temporary.open("r+b") as file:  # as Windows needs it to sync
            os.fsync(file.fileno())

    _replace(path, put)


def _replace(path: Path, put: Callable[[Path], None]) -> None:
    """Put a new file in the place of what is there, be it a link: that is replaced, not followed.

    A hard link's other names keep the old content.
    """
    temporary = path.parent / f".{path.name[:100]}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            put(temporary)
            os.replace(temporary, path)  # noqa: PTH105 (the call that tests interrupt)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder inside a run, refusing a link in its place.

    Raises:
        FileExistsError: Something that is not a folder is there.
        OSError: It cannot be made.
    """
    refuse_link(folder)
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(folder.parent)


def prepare_folder(folder: Path) -> None:
    """Make a folder for files of a run, and the folders above it.

    Raises:
        RunError: A link or another thing is in its place, or it cannot be made.
    """
    local_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error


def refuse_link(path: Path) -> None:
    """Raise RunError where a link stands in the place of a part of a run folder."""
    if path.is_symlink():
        raise RunError(
            f"{printable(str(path))} is a link.",
            "A run folder holds no links; remove it and run the same command again.",
        )


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
    for parent in (folder, folder / "figures", folder / "directions"):
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


def of_library(error: Exception) -> OSError:
    """What a library in Rust raises for a file, as the system's own error.

    The system's number is in its text only: `I/O error: No space left (os error 28)`.
    """
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]) if found else 0, str(error).strip()[:300])


def no_folder(path: Path) -> RunError:
    """The error to show where a file's folder does not exist."""
    return RunError(
        f"{printable(str(path))} cannot be written: there is no folder"
        f" '{printable(str(path.parent))}'.",
        "Make the folder first, or give a path in another one.",
    )


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
