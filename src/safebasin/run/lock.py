"""Who may write to a run folder: one process at a time, and never into a folder of other files."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safebasin.addresses import local_path
from safebasin.errors import RunBusy, RunError
from safebasin.run.atomic import (
    cannot_write,
    is_temporary,
    read_plain,
    refuse_link,
    write_atomic,
)
from safebasin.terminal import printable

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, HOLDER = ".lock", ".lock-holder"
_SHARD = ".lock-shard-"

SHARDS_WAIT = 60.0
"""For how many seconds a shard waits for another one that is just beginning."""


def lock_folder(root: Path, wait: float = 0.0) -> BaseFileLock:
    """Make the folder where needed and take its lock, which ends with the process at the latest.

    `wait` is for how many seconds to wait for it.

    Raises:
        RunError: Another process holds it, or the folder cannot be written.
    """
    lock = _acquire(root, LOCK, wait)
    try:
        write_atomic(root / HOLDER, f"{os.getpid()}\n".encode())
    except BaseException:
        lock.release()
        raise
    return lock


def lock_shard(root: Path, shard: str, wait: float = 0.0) -> BaseFileLock:
    """Take the lock of one shard; other shards may hold theirs at the same time.

    `wait` is for how many seconds to wait for it, below 0 as long as it takes.

    Raises:
        RunError: Another process works on this shard, or the folder cannot be written.
    """
    return _acquire(root, f"{_SHARD}{shard}", wait)


def working_shards(root: Path) -> tuple[str, ...]:
    """The shards that processes work on. Call it only while holding the folder's lock."""
    from filelock import Timeout

    working = []
    for path in sorted(root.glob(f"{_SHARD}*")):
        _refuse_other(path)
        try:
            _taken(path, 0.0).release()
        except Timeout:
            working.append(path.name.removeprefix(_SHARD))
    return tuple(working)


def _acquire(root: Path, name: str, wait: float) -> BaseFileLock:
    from filelock import Timeout

    local_path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _refuse_other(root / name)
        return _taken(root / name, wait)
    except Timeout:
        who = f"Shard {name.removeprefix(_SHARD)}" if name != LOCK else _holder(root)
        raise RunBusy(
            f"{who} is working on the run folder {printable(str(root))}.",
            "Wait until it ends, or give another --out.",
        ) from None
    except OSError as error:
        raise cannot_write(root / name, error) from error


def _taken(path: Path, wait: float) -> BaseFileLock:
    """A lock of the system's, which ends with the process that holds it, however it ends.

    Where a file system has none, the library makes do with a file, which a killed process leaves
    behind for ever: that is refused.

    Raises:
        Timeout: Another process holds it.
        RunError: The file system has no locks.
        OSError: The file cannot be written.
    """
    from filelock import FileLock, SoftFileLock

    lock: BaseFileLock = FileLock(path, timeout=wait, thread_local=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire()
    except NotImplementedError:  # what older versions of the library raise in its place
        raise _no_locks(path) from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise _no_locks(path) from error
        raise
    if isinstance(lock, SoftFileLock):
        lock.release()
        raise _no_locks(path)
    return lock


def _no_locks(path: Path) -> RunError:
    return RunError(
        f"The file system of {printable(str(path.parent))} has no file locks.",
        "Give a folder on another one, or have it mounted with locks (for Lustre: -o flock).",
    )


def _refuse_other(path: Path) -> None:
    """Refuse what is no lock: a link, a pipe, or another file's content under its name."""
    refuse_link(path)
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or (found.st_nlink > 1 and found.st_size):
            raise RunError(
                f"{printable(str(path))} is not a plain file of its own.",
                "It is no lock of this program; remove it and run the same command again.",
            )


def unlock_folder(root: Path, lock: BaseFileLock) -> None:
    """Give the lock back, of the folder or of a shard."""
    if working_alone(lock):
        with suppress(OSError):
            (root / HOLDER).unlink()
    lock.release()


def working_alone(lock: BaseFileLock | None) -> bool:
    """Whether a lock is that of the whole folder, not of a shard."""
    return lock is not None and Path(lock.lock_file).name == LOCK


def refuse_foreign(root: Path, mark: str) -> None:
    """Refuse a folder that holds files but not the one that marks a run.

    Raises:
        RunError: It does; nothing in it was touched.
    """
    try:
        names = {entry.name for entry in root.iterdir()} if root.exists() else set()
    except OSError as error:
        raise cannot_write(root, error) from error
    others = {
        name
        for name in names - {LOCK, HOLDER}
        if not is_temporary(name) and not name.startswith(_SHARD)
    }
    if others and mark not in names:
        raise RunError(
            f"{printable(str(root))} is not a run folder and is not empty.",
            "Give another --out: a new folder, or the folder of an earlier run.",
        )


def _holder(root: Path) -> str:
    try:
        return f"Another process ({int(read_plain(root / HOLDER)[:20])})"
    except (OSError, ValueError, RunError):
        return "Another process"
