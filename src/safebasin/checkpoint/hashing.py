"""The digest of a model's files, which is its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event

PIECE = 2**22
"""Bytes of a file that are hashed at a time."""


def digest(files: Sequence[Path], gives_up: Event | None = None) -> str:
    """SHA-256 over the names and the SHA-256 of files, which are read in parallel.

    In large pieces: between two of them a thread waits for the interpreter's lock.
    """

    def one(path: Path) -> tuple[str, str]:
        total, room = hashlib.sha256(), memoryview(bytearray(min(PIECE, path.stat().st_size + 1)))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(room):
                if gives_up is not None and gives_up.is_set():
                    raise CancelledError
                total.update(room[:count])
        return path.name, total.hexdigest()

    with ThreadPoolExecutor(max_workers=8) as pool:
        return hashlib.sha256(json.dumps(list(pool.map(one, files))).encode()).hexdigest()
