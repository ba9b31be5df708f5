"""Who may write to a run folder: one process at a time, and never into a folder of other files."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

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


def lock_shard(root: Path, shard: str) -> BaseFileLock:
    """Take the lock of one shard; other shards may hold theirs at the same time.

    Raises:
        RunError: Another process works on this shard, or the folder cannot be written.
    """
    return _acquire(root, f"{_SHARD}{shard}", 0.0)


def working_shards(root: Path) -> tuple[str, ...]:
    """The shards that processes work on. Call it only while holding the folder's lock."""
    from filelock import FileLock, Timeout

    working = []
    for path in sorted(root.glob(f"{_SHARD}*")):
        _refuse_other(path)
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            working.append(path.name.removeprefix(_SHARD))
        else:
            lock.release()
    return tuple(working)


def _acquire(root: Path, name: str, wait: float) -> BaseFileLock:
    from filelock import FileLock, Timeout

    try:
        root.mkdir(parents=True, exist_ok=True)
        _refuse_other(root / name)
        lock = FileLock(root / name, timeout=wait, thread_local=False)
        lock.acquire()
    except Timeout:
        who = f"Shard {name.removeprefix(_SHARD)}" if name != LOCK else _holder(root)
        raise RunBusy(
            f"{who} is working on the run folder {printable(str(root))}.",
            "Wait until it ends, or give another --out.",
        ) from None
    except OSError as error:
        raise cannot_write(root / name, error) from error
    return lock


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
