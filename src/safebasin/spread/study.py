"""How the points of a study are spread, by the settings that a scan has for it, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.plane import Point
from safebasin.preparation import worker_count
from safebasin.prompts import Prompt
from safebasin.spread.executor import Executor, Recipe
from safebasin.spread.ray_actors import RayActors
from safebasin.spread.workers import Workers


@dataclass(frozen=True)
class Spread:
    """What answers the questions of a study: its engine, processes with a copy of it, or actors.

    config  the settings: workers, executor, ray_address and device
    recipe  how an actor builds the study's engine
    actors  those that stay from one measurement to the next; None where each starts its own
    """

    config: ScanConfig
    recipe: Recipe
    actors: RayActors | None = None

    @contextmanager
    def kept(self) -> Iterator[Spread]:
        """The same for several measurements, over which actors stay: each loads the model once."""
        if self.config.executor != "ray":
            yield self
            return
        with RayActors(self.recipe, self.config) as actors:
            yield replace(self, actors=actors)

    @contextmanager
    def executor(self, engine: AnyEngine, missing: int) -> Iterator[Executor]:
        """What answers while the block lasts, where so many answers are to be given."""
        if self.actors is not None:
            yield self.actors
            return
        if self.config.executor == "ray":
            with RayActors(self.recipe, self.config) as actors:
                yield actors
            return
        count = worker_count(self.config, engine, lambda: missing)
        yield engine if count == 1 else Workers(engine, count)


def settle_way(
    executor: Executor,
    engine: AnyEngine,
    points: Sequence[Point],
    prompts: Sequence[Prompt],
    sampling: Sampling,
) -> None:
    """Let the engine choose its way of working before it is copied, once for all of its copies."""
    if isinstance(executor, Workers):
        engine.settle(points, prompts, sampling)
