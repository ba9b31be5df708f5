"""How the points of a scan or study are spread, by the settings of either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from safebasin.config import ScanConfig
from safebasin.engines.any_engine import AnyEngine
from safebasin.spread.executor import Executor, Recipe
from safebasin.spread.ray_actors import RayActors
from safebasin.spread.workers import Settle, Workers, available_cores, can_fork

SMALL_MODEL = 10_000_000
"""Parameters of a model that is too small for several threads."""

WORTH_WORKERS = 500
"""How many missing answers are worth worker processes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Spread(Generic[T]):
    """What answers or measures: an engine or probe, processes with a copy of it, or actors.

    config  the settings: workers, executor, ray_address and device
    recipe  how an actor builds the same
    actors  those that stay from one measurement to the next; None where each starts its own
    """

    config: ScanConfig
    recipe: Recipe
    actors: RayActors[T] | None = None

    @contextmanager
    def kept(self) -> Iterator[Spread[T]]:
        """The same for several measurements, over which actors stay: each loads the model once."""
        if self.config.executor != "ray":
            yield self
            return
        with RayActors[T](self.recipe, self.config) as actors:
            yield replace(self, actors=actors)

    @contextmanager
    def executor(
        self, own: Executor[T], count: int, settle: Settle | None = None
    ) -> Iterator[Executor[T]]:
        """What answers while the block lasts: `own`, `count` processes with it, or actors.

        `settle` lets it choose its way of working before it is copied, once for all copies.
        """
        if self.actors is not None:
            yield self.actors
        elif self.config.executor == "ray":
            with RayActors[T](self.recipe, self.config) as actors:
                yield actors
        else:
            yield own if count == 1 else Workers(own, count, settle)


def worker_count(config: ScanConfig, engine: AnyEngine, missing: Callable[[], int]) -> int:
    """How many processes answer; `missing`, the answers to be given, is asked for if it matters."""
    if not _copied(engine.model) or engine.own_process or engine.weights.divided:
        return 1
    if config.workers is not None:
        return config.workers
    return available_cores() if _small(engine.model) and missing() >= WORTH_WORKERS else 1


def prober_count(config: ScanConfig, model: Any, points: int) -> int:
    """How many processes measure a capability at so many points."""
    if not _copied(model):
        return 1
    count = config.workers or (available_cores() if _small(model) else 1)
    return max(1, min(count, points))


def _copied(model: Any) -> bool:
    """Whether a process can be given a copy of the model by its fork."""
    return bool(model.device.type == "cpu" and can_fork())


def _small(model: Any) -> bool:
    return bool(sum(p.numel() for p in model.parameters()) < SMALL_MODEL)
