"""How a scan shows that it is going on: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from safebasin.cli.console import duration, tell
from safebasin.exchange import Exchange
from safebasin.judges import AsksAgain, HoldsModel, Judge, KeywordJudge
from safebasin.judges.soundness import is_own
from safebasin.landscape.truncation import MOST
from safebasin.plane import Point
from safebasin.terminal import printable

LINE_EVERY = 60.0
"""Seconds between two lines where standard error is not a terminal."""

ENOUGH = 0.1
"""The share of the answers from which the time left is told before any point is whole: a choice,
which no measurement sets."""


class ScanProgress:
    """Counts answers, with the ASR at the current point by the headline judge, and an ETA."""

    def __init__(self, judge: Judge) -> None:
        # A judge that costs money or time does not read the answers twice; of others' nobody knows.
        costly = isinstance(judge, AsksAgain | HoldsModel) or not is_own(judge)
        self._judge: Judge = KeywordJudge() if costly else judge
        self._point: Point | None = None
        self._counts: dict[Point, tuple[int, int]] = {}  # judged, not refused
        self._cut = 0  # at the origin, before any refusal
        self._total = self._done = self._already = self._points = 0
        self._began = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        self._capabilities: dict[str, tuple[float, int]] = {}  # when begun, points done before

    def __enter__(self) -> ScanProgress:
        if sys.stderr.isatty():
            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[what]} · {task.fields[at]}", markup=False),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
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
        self._total, self._done, self._already = answers, finished, finished
        self._began = self._last_line = time.monotonic()
        if finished:
            tell(f"resuming: {finished} of {answers} answers are there already")
        if finished < answers and self._bar is None:
            tell(f"asking for {answers - finished} answers")
        if self._bar is not None:
            self._bar.add_task("", total=answers, completed=finished, what="answers", at="")

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        self._point = point
        outcomes = [verdict.outcome for verdict in self._judge.judge(exchanges)]
        judged, not_refused = self._counts.get(point, (0, 0))
        judged += sum(outcome is not None for outcome in outcomes)
        not_refused += sum(outcome not in (None, "refused") for outcome in outcomes)
        self._counts[point] = judged, not_refused
        if point.is_origin:
            self._cut += sum(
                exchange.finish == "length" and outcome != "refused"
                for exchange, outcome in zip(exchanges, outcomes, strict=True)
            )
        self._done += len(exchanges)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, at=self._here())
        elif time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            tell(f"{self._done} of {self._total} answers · {self._here()}{self._left()}")

    def finished(self, point: Point) -> None:
        self._points += 1
        judged, _ = self._counts.pop(point, (0, 0))
        if point.is_origin and self._cut > MOST * judged > 0:
            tell(
                f"at the origin {self._cut} answers were cut at the token limit before any refusal"
            )

    def capability(self, name: str, done: int, points: int) -> None:
        if name not in self._capabilities:
            self._capabilities[name] = (time.monotonic(), done)
            if self._bar is not None:
                self._bar.add_task(
                    "", total=points, completed=done, what="points", at=printable(name)
                )
        began, before = self._capabilities[name]
        if self._bar is not None:
            place = 1 + list(self._capabilities).index(name)
            self._bar.update(self._bar.task_ids[place], completed=done, total=points)
        elif time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            pace = (time.monotonic() - began) / max(done - before, 1)
            left = duration(pace * (points - done))
            tell(f"{printable(name)}: {done} of {points} points · {left} left")

    def _here(self) -> str:
        label = self._point.label if self._point else ""
        judged, not_refused = self._counts.get(self._point, (0, 0)) if self._point else (0, 0)
        asr = f"{100 * not_refused / judged:.0f} %" if judged else "not judged"
        return str(Text(printable(f"{label} ASR {asr}")))

    def _left(self) -> str:
        new, wanted = self._done - self._already, self._total - self._already
        return left(self._began, new, wanted, whole=self._points > 0)


def left(began: float, new: int, wanted: int, *, whole: bool) -> str:
    """How long the rest is expected to last, as " · 3 min left"; "" where it is too early to say.

    Answers of a batch end at about one time: the first of them say nothing of the pace. It is told
    once a point is `whole`, or a tenth of the answers is there, as in a pool.
    """
    if not new or not (whole or new >= ENOUGH * wanted):
        return ""
    pace = (time.monotonic() - began) / new
    return f" · {duration(pace * (wanted - new))} left"
