"""Progress over all conditions of a study: their runs are one piece of work to who waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from safebasin.compare.parts import Part
from safebasin.exchange import Exchange
from safebasin.plane import Point, outward
from safebasin.run import RunFolder
from safebasin.run.folder import MANIFEST
from safebasin.scanner import Observer


class AllRuns:
    """Tells an observer once of the answers of every run, and of the runs' own beginnings nothing.

    parts   those of all runs, whose folders lie under `folder`
    """

    def __init__(self, observer: Observer, folder: Path, parts: Iterable[Part]) -> None:
        self._observer = observer
        wanted = finished = 0
        for part in parts:
            points = outward(part.planes)
            wanted += len(points) * len(part.prompts)
            finished += _finished(folder / part.name, points, part.prompts.ids)
        observer.started(wanted, finished)

    def started(self, answers: int, finished: int) -> None:
        """A run begins; it is counted already."""

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        self._observer.answered(point, exchanges)

    def finished(self, point: Point) -> None:
        self._observer.finished(point)

    def capability(self, name: str, done: int, points: int) -> None:
        self._observer.capability(name, done, points)


def _finished(folder: Path, points: Sequence[Point], ids: Sequence[str]) -> int:
    """The answers that a run folder holds of those that are wanted."""
    if not (folder / MANIFEST).exists():
        return 0
    run = RunFolder.read(folder)
    return sum(len(ids) - len(run.missing(point, ids)) for point in points)
