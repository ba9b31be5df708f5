"""What answers by several engines, and how a process elsewhere builds its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from safebasin.engines import Progress, Sampling, Wanted
from safebasin.plane import Point
from safebasin.prompts import Prompt

T = TypeVar("T")

MOST_DEATHS = 3
"""How often workers may die before a scan gives up."""


@dataclass(frozen=True)
class Recipe:
    """How a process elsewhere builds what answers: a function of the package, and its arguments.

    Both are pickled. What it builds answers as an engine does, or measures as a probe does.
    """

    build: Callable[..., Any]
    arguments: tuple[Any, ...]

    def made(self) -> Any:
        return self.build(*self.arguments)


class Executor(Protocol[T]):
    """Gives something for every point, as an engine does answers and a probe does items."""

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[T]]]: ...
