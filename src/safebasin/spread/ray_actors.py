"""The actors of a Ray cluster, one a GPU, several or a core; each builds what answers there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from safebasin.config import ScanConfig
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.errors import EngineError, UsageError
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.spread.dealing import portions
from safebasin.spread.executor import MOST_DEATHS, Recipe
from safebasin.spread.workers import available_cores

T = TypeVar("T")

RESTARTS = MOST_DEATHS - 1

REACH_SECONDS = 5.0
"""For how long a cluster's address is tried."""


def gpu_groups(machines: Sequence[Mapping[str, float]], each: int) -> int:
    """How many actors with so many GPUs each the machines of a cluster hold; 0 without any GPU.

    All GPUs of an actor are on its own machine, so that an actor that fits on none would be waited
    for without end. Raises UsageError there.
    """
    gpus = [int(machine.get("GPU", 0)) for machine in machines]
    groups = sum(own // each for own in gpus)
    if each > 1 and not groups:
        raise UsageError(
            f"--tensor-parallel asks for {each} GPUs on one machine, and the largest of the "
            f"cluster has {max(gpus, default=0)}.",
            "Give a smaller --tensor-parallel, or a cluster with larger machines.",
        )
    return groups


class Answerer:
    """One actor: an engine or a probe, built on the actor's own machine."""

    def __init__(self, recipe: Recipe) -> None:
        import torch

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
        self._engine = recipe.made()

    def point(self, point: Point, prompts: Sequence[Prompt], sampling: Sampling) -> list[Any]:
        [(_, exchanges)] = self._engine.answers([point], prompts, sampling)
        return list(exchanges)


class RayActors(Generic[T]):
    """Answers with actors of a Ray cluster; a point at a time, to whichever is free.

    Of fewer points than actors the prompts are divided as well. An actor that dies is started
    again, and its point is asked again. Within a `with` block the actors stay from one call to the
    next. Raises UsageError where Ray is not installed or the cluster cannot be reached,
    EngineError where an actor dies MOST_DEATHS times.
    """

    def __init__(self, recipe: Recipe, config: ScanConfig) -> None:
        self.recipe = recipe
        self.config = config
        self._actors: list[Any] = []
        self._held = self._ours = False

    def __enter__(self) -> RayActors[T]:
        self._held = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held = False
        self._end()

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[T]]]:
        """Yield each point once it is complete, in any order."""
        ray = _ray()
        if not ray.is_initialized():
            _connect(ray, self.config.ray_address)
            self._ours = True
        try:
            yield from self._answers(ray, points, list(prompts), sampling, progress, wanted)
        finally:
            if not self._held:
                self._end()

    def _answers(
        self,
        ray: Any,
        points: Sequence[Point],
        prompts: list[Prompt],
        sampling: Sampling,
        progress: Progress | None,
        wanted: Wanted | None,
    ) -> Iterator[tuple[Point, list[T]]]:
        each, groups = self.config.tensor_parallel, 0
        if self._on_gpu():
            groups = gpu_groups([node["Resources"] for node in ray.nodes() if node["Alive"]], each)
        cores = int(ray.cluster_resources().get("CPU", available_cores()))
        count = self.config.workers or groups or cores
        parts = portions(len(points), len(prompts), count)
        waiting = [(point, part) for point in points for part in range(len(parts))][::-1]
        remote = ray.remote(
            num_cpus=1,
            num_gpus=each if groups else 0,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )(Answerer)
        while len(self._actors) < min(count, len(waiting)):
            self._actors.append(remote.remote(self.recipe))
        working: dict[Any, tuple[Any, Point, int]] = {}
        found: dict[Point, dict[int, list[T]]] = {}
        while waiting or working:
            busy = [actor for actor, _, _ in working.values()]
            for actor in [a for a in self._actors if all(a is not other for other in busy)]:
                while waiting and wanted is not None and not wanted(waiting[-1][0]):
                    waiting.pop()
                if waiting:
                    point, part = waiting.pop()
                    task = actor.point.remote(point, prompts[parts[part]], sampling)
                    working[task] = (actor, point, part)
            if not working:
                return
            done, _ = ray.wait(list(working), num_returns=1)
            _, point, part = working.pop(done[0])
            exchanges = _result(ray, done[0], point)
            if progress is not None:
                progress(point, exchanges)
            found.setdefault(point, {})[part] = exchanges
            if len(found[point]) == len(parts):
                whole = found.pop(point)
                yield point, [one for part in sorted(whole) for one in whole[part]]

    def _end(self) -> None:
        """End the actors, and the cluster that was started for them."""
        if not self._actors and not self._ours:
            return
        ray = _ray()
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        if self._ours:
            ray.shutdown()
            self._ours = False

    def _on_gpu(self) -> bool:
        return self.config.device is None or self.config.device.startswith("cuda")


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError(
            "Ray is not installed.", "Install it with: pip install 'safebasin[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        if address is not None:
            _reach(address)
        ray.init(
            address=address,
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at '{address}'"
        raise UsageError(
            f"Ray cannot be reached {where}: {str(error).splitlines()[0]}.",
            "Check --ray-address, and that the cluster runs the same Python and Ray.",
        ) from error


def _reach(address: str) -> None:
    """Try a `host:port` for a few seconds; Ray itself would try for minutes. Raises OSError."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()


def _result(ray: Any, reference: Any, point: Point) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError as error:
        raise EngineError(
            f"A Ray actor died {MOST_DEATHS} times, the last time at {point.label}.",
            "Look for a lack of memory on its machine; the same command resumes.",
        ) from error
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception):
            raise cause from error
        raise
