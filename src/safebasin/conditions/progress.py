"""Progress over all conditions of a study: their runs are one piece of work to who waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safebasin.exchange import Exchange
from safebasin.plane import Point, outward
from safebasin.study.observer import Observer
from safebasin.study.parts import Part, unmeasured


class AllRuns:
    """Tells an observer once of the answers of every run, and of the runs' own beginnings nothing.

    parts   those of all runs, whose folders lie under `folder`
    """

    def __init__(self, observer: Observer, folder: Path, parts: Sequence[Part]) -> None:
        self._observer = observer
        wanted = sum(len(outward(part.planes)) * len(part.prompts) for part in parts)
        observer.started(wanted, wanted - unmeasured(folder, parts))

    def started(self, answers: int, finished: int) -> None:
        """A run begins; it is counted already."""

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        self._observer.answered(point, exchanges)

    def finished(self, point: Point) -> None:
        self._observer.finished(point)

    def capability(self, name: str, done: int, points: int) -> None:
        self._observer.capability(name, done, points)
