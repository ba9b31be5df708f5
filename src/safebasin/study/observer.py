"""Who hears how a scan or a study goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from safebasin.exchange import Exchange
from safebasin.plane import Point


class Observer(Protocol):
    """Hears how a scan goes. Every method may be left empty."""

    def started(self, answers: int, finished: int) -> None:
        """`answers` are wanted in all; `finished` of them are in the run folder already."""

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        """Answers arrived at a point; their log-probabilities are still to come."""

    def finished(self, point: Point) -> None:
        """All answers at a point are judged and on the disk."""

    def capability(self, name: str, done: int, points: int) -> None:
        """A capability is measured and on the disk at so many of its points."""


class Silent:
    """An observer that keeps what it hears to itself."""

    def started(self, answers: int, finished: int) -> None: ...

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None: ...

    def finished(self, point: Point) -> None: ...

    def capability(self, name: str, done: int, points: int) -> None: ...
