"""The digest of a model's files, which is its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Thread

PIECE = 2**24
"""Bytes of a file that are hashed at a time."""

AT_ONCE = 8
"""Files that are read in parallel."""

LOOKS = 0.1
"""Seconds after which who waits for another thread's digest looks whether it was given up."""

_Stamp = tuple[str, int, int, int, int, int]

_begun: dict[_Stamp, Future[str]] = {}
"""The digests that were begun before they were asked for."""


def digest(files: Sequence[Path], gives_up: Event | None = None) -> str:
    """SHA-256 over the names and the SHA-256 of files, which are read in parallel.

    Raises CancelledError once it is given up.
    """

    def one(path: Path) -> tuple[str, str]:
        begun = _begun.get(_stamp(path))
        return path.name, _hashed(path, gives_up) if begun is None else _waited(begun, gives_up)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return hashlib.sha256(json.dumps(list(pool.map(one, files))).encode()).hexdigest()


def begin(files: Sequence[Path]) -> None:
    """Have threads hash these files from now on, for a `digest` of them later.

    What was begun of a file counts as long as nothing writes to it. No program waits at its end for
    these threads.
    """
    waiting = deque[tuple[Path, Future[str]]]()
    for path in files:
        future = _begun[_stamp(path)] = Future[str]()
        waiting.append((path, future))

    def work() -> None:
        while waiting:
            try:
                path, future = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                future.set_result(_hashed(path))
            except Exception as error:  # raised again where the digest is asked for
                future.set_exception(error)

    for _ in range(min(AT_ONCE, len(waiting))):
        Thread(target=work, name="hashing", daemon=True).start()


def _hashed(path: Path, gives_up: Event | None = None) -> str:
    """In large pieces: between two of them a thread waits for the interpreter's lock."""
    total, room = hashlib.sha256(), memoryview(bytearray(min(PIECE, path.stat().st_size + 1)))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(room):
            if gives_up is not None and gives_up.is_set():
                raise CancelledError
            total.update(room[:count])
    return total.hexdigest()


def _waited(begun: Future[str], gives_up: Event | None) -> str:
    while not wait([begun], timeout=LOOKS).done:
        if gives_up is not None and gives_up.is_set():
            raise CancelledError
    return begun.result()


def _stamp(path: Path) -> _Stamp:
    """What changes where a file is written to or replaced."""
    found = path.stat()
    return (
        str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )  # fmt: skip
