"""The fast engine of a model that is divided among processes, in the process that leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.template import Template
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.spread.followers import CLOSING_SECONDS, Followers
from safebasin.weights import Weights


class LeadingEngine(FastEngine):
    """Asks with the other processes: each point is told to them first.

    Answers are those of the fast engine with the divided model. Raises EngineError where another
    process has ended.
    """

    def __init__(
        self,
        followers: Followers,
        model: Any,
        weights: Weights,
        directions: Mapping[str, Direction],
        template: Template,
        **settings: Any,
    ) -> None:
        super().__init__(model, weights, directions, template, **settings)
        self._followers = followers

    def spec(self) -> dict[str, object]:
        return {**super().spec(), "tensor_parallel": self._followers.count + 1}

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        """Yield each point once it is complete; whether it is `wanted` only this process knows."""
        for point in points:
            if wanted is not None and not wanted(point):
                continue
            self._followers.tell([point], list(prompts), sampling)
            try:
                found = list(super().answers([point], prompts, sampling, progress))
            except RuntimeError as error:
                if self._followers.ended(CLOSING_SECONDS):
                    raise self._followers.lost() from error
                raise
            yield from found
