"""Progress of work that asks several sets of prompts: answers so far, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safebasin.cli.console import tell
from safebasin.cli.progress import LINE_EVERY, left
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.terminal import printable


class AnswerCount:
    """Counts answers over one or several rounds: a bar on a terminal, else a line a minute.

    `noun` is what is asked for: answers, or scores.
    """

    def __init__(self, noun: str = "answers") -> None:
        self._noun = noun
        self._total = self._done = self._already = self._points = 0
        self._began = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> AnswerCount:
        if sys.stderr.isatty():
            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self._noun),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._bar.add_task("", total=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def started(self, answers: int, finished: int) -> None:
        if not self._total:
            self._began = time.monotonic()
        self._total += answers
        self._done += finished
        self._already += finished
        if finished:
            tell(f"resuming: {finished} of {answers} {self._noun} are there already")
        if finished < answers and self._bar is None:
            tell(f"asking for {answers - finished} {self._noun}")
        self._show()

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        self.advance(len(exchanges))

    def advance(self, more: int) -> None:
        """So many more are there."""
        self._done += more
        self._show()

    def finished(self, point: Point) -> None:
        self._points += 1

    def capability(self, name: str, done: int, points: int) -> None:
        if time.monotonic() - self._last_line >= LINE_EVERY or not done:
            self._last_line = time.monotonic()
            tell(f"capability {printable(name)}: {done} of {points} points")

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=self._total, completed=self._done)
        elif time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            new, wanted = self._done - self._already, self._total - self._already
            rest = left(self._began, new, wanted, whole=self._points > 0)
            tell(f"{self._done} of {self._total} {self._noun}{rest}")
