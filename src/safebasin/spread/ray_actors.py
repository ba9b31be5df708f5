"""The actors of a Ray cluster, one a GPU or core; each loads the model and draws the directions."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from safebasin.config import ScanConfig
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.errors import EngineError, UsageError
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.spread import MOST_DEATHS
from safebasin.spread.workers import available_cores

RESTARTS = MOST_DEATHS - 1

REACH_SECONDS = 5.0
"""For how long a cluster's address is tried."""


class Answerer:
    """One actor: the scan's engine, prepared on the actor's own machine."""

    def __init__(self, config: dict[str, Any], capability: str | None = None) -> None:
        import torch

        from safebasin.preparation import prepare

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
        # Where the walk ends, and whether its judge fits in memory, is known where the scan runs.
        asked = replace(ScanConfig.from_json(config), stop_at_plateau=False)
        prepared = prepare(asked)
        probes: dict[str | None, Any] = {probe.name: probe for probe in prepared.probes}
        self._engine = prepared.engine if capability is None else probes[capability]

    def point(self, point: Point, prompts: Sequence[Prompt], sampling: Sampling) -> list[Exchange]:
        [(_, exchanges)] = self._engine.answers([point], prompts, sampling)
        return exchanges


class RayActors:
    """Answers with actors of a Ray cluster; a point at a time, to whichever is free.

    An actor that dies is started again, and its point is asked again. Raises UsageError where Ray
    is not installed or the cluster cannot be reached, EngineError where an actor dies MOST_DEATHS
    times. With a `capability` the actors measure that, and yield its items.
    """

    def __init__(self, config: ScanConfig, capability: str | None = None) -> None:
        self.config = config
        self.capability = capability

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        """Yield each point once it is complete, in any order."""
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.config.ray_address)
        try:
            yield from self._answers(ray, points, list(prompts), sampling, progress, wanted)
        finally:
            if ours:
                ray.shutdown()

    def _answers(
        self,
        ray: Any,
        points: Sequence[Point],
        prompts: list[Prompt],
        sampling: Sampling,
        progress: Progress | None,
        wanted: Wanted | None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        gpus = int(ray.cluster_resources().get("GPU", 0)) if self._on_gpu() else 0
        cores = int(ray.cluster_resources().get("CPU", available_cores()))
        count = min(self.config.workers or gpus or cores, len(points))
        remote = ray.remote(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )(Answerer)
        # Each actor works alone, and reads the model from where its own machine has it.
        config = replace(self.config, executor="local", ray_address=None, workers=1).to_json()
        actors = [remote.remote(config, self.capability) for _ in range(count)]
        waiting = list(reversed(points))
        working: dict[Any, tuple[Any, Point]] = {}
        try:
            while waiting or working:
                free = [a for a in actors if all(a is not other for other, _ in working.values())]
                for actor in free:
                    while waiting and wanted is not None and not wanted(waiting[-1]):
                        waiting.pop()
                    if waiting:
                        point = waiting.pop()
                        working[actor.point.remote(point, prompts, sampling)] = (actor, point)
                if not working:
                    return
                done, _ = ray.wait(list(working), num_returns=1)
                _, point = working.pop(done[0])
                exchanges = _result(ray, done[0], point)
                if progress is not None:
                    progress(point, exchanges)
                yield point, exchanges
        finally:
            for actor in actors:
                ray.kill(actor)

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


def _result(ray: Any, reference: Any, point: Point) -> list[Exchange]:
    try:
        exchanges: list[Exchange] = ray.get(reference)
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
    return exchanges
