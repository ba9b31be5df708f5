"""What measures a capability, and what it is given to measure it with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.template import Template
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights


@dataclass(frozen=True)
class Bench:
    """The model of a scan and how it is moved and asked. `rows` is a batch, None for what fits;
    `max_new_tokens` is what the answers of the scan may have."""

    model: Any
    weights: Weights
    directions: Mapping[str, Direction]
    template: Template
    rows: int | None
    max_new_tokens: int = 0


class Probe(Protocol):
    """Measures one capability at points, with the interface of an engine, so it can be spread."""

    @property
    def name(self) -> str: ...

    def spec(self) -> Mapping[str, object]:
        """Everything that determines what is measured, as JSON values."""
        ...

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        """Yield each wanted point with its items; prompts and sampling are its own."""
        ...

    def seconds(self, points: Sequence[Point]) -> tuple[float, float] | None:
        """How long these points take one process, from and to, by a measured batch at the origin.

        None where measuring it would cost as much as a point.
        """
        ...


class Task(Protocol):
    """A capability whose files were read and checked; it becomes a probe once a model is loaded."""

    @property
    def name(self) -> str: ...

    def probe(self, bench: Bench) -> Probe: ...
