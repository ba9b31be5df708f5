"""Progress of work that goes step by step: a training, a search."""

from __future__ import annotations

import time
from collections.abc import Callable

from safebasin.cli.console import duration, tell

LINE_EVERY = 15.0
"""Seconds between two lines of progress."""


class Steps:
    """Tells how far the work is, what its last step reached, and the time that is left.

    `name` is what a line begins with; `shown` tells the number that a step ended with.
    """

    def __init__(self, name: str, shown: Callable[[float], str]) -> None:
        self._name, self._shown = name, shown
        self._began = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, reached: float | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
        if now - self._last < LINE_EVERY and done < total:
            return
        self._last = now
        left = (now - self._began) / max(1, done - self._first) * (total - done)
        shown = "" if reached is None else f" · {self._shown(reached)}"
        tell(f"{self._name} {done} of {total}{shown} · {duration(left)} left")
