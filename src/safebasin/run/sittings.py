"""When points were finished, a line each: what `watch` tells the time of work and what is left by.

A file a sitting, which only its own process writes, so that shards do not disturb one another. The
times of files would be another's as soon as a run is copied. What is lost of it is not missed: no
measurement depends on it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SITTINGS = "sittings"


@dataclass(frozen=True)
class Finished:
    """A point by its key, the answers that it was given, and when, in seconds since the epoch."""

    key: str
    answers: int
    at: float


@dataclass(frozen=True)
class Sitting:
    """What one process finished, in order; `began` in seconds since the epoch."""

    began: float
    finished: tuple[Finished, ...]

    @property
    def ended(self) -> float:
        """When it finished its last point."""
        return max((one.at for one in self.finished), default=self.began)


class SittingLog:
    """Writes what this process finishes; nothing where it finishes nothing."""

    def __init__(self, folder: Path, began: float) -> None:
        self._path = folder / f"{began:.0f}-{os.getpid()}.jsonl"
        self._began = began

    def add(self, key: str, answers: int) -> None:
        """Append a line. Raises OSError where it cannot be written."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        line = {"began": self._began, "point": key, "answers": answers, "at": time.time()}
        with os.fdopen(os.open(self._path, flags, 0o666), "ab") as file:
            file.write(f"{json.dumps(line)}\n".encode())


def read_sittings(folder: Path) -> list[Sitting]:
    """The sittings that a folder holds, in the order in which they began.

    Lines that are not whole, as after a power cut, are left out.
    """
    found: list[Sitting] = []
    if folder.is_symlink():
        return found
    for path in sorted(folder.glob("*.jsonl")):
        lines = list(_lines(path))
        if lines:
            found.append(Sitting(lines[0][0], tuple(one for _, one in lines)))
    return sorted(found, key=lambda one: one.began)


def _lines(path: Path) -> Iterator[tuple[float, Finished]]:
    if path.is_symlink() or not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        match value:
            case {
                "began": int() | float() as began,
                "point": str(key),
                "answers": int(answers),
                "at": int() | float() as at,
            }:
                yield float(began), Finished(key, answers, float(at))
