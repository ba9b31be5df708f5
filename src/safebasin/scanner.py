"""The main job: ask the prompts at every point of the planes, keep each answer, draw the map."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from safebasin.capability.probe import Probe
from safebasin.engines.model_shape import most_positions
from safebasin.errors import EngineError, RunBusy
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.preparation import Prepared, answering
from safebasin.reference import ask_everyday, settle
from safebasin.results import (
    ASSUMED,
    LEXICON,
    Result,
    adopt,
    judge_point,
    observed_asr,
    summarise,
)
from safebasin.run import RunFolder
from safebasin.spread.executor import Executor, Recipe
from safebasin.spread.ray_actors import RayActors
from safebasin.spread.shards import Shard
from safebasin.spread.workers import Workers
from safebasin.truncation import longer_limit, store_further, worth_asking_further

LOG = logging.getLogger(__name__)


class Observer(Protocol):
    """Hears how a scan goes. Every method may be left empty."""

    def started(self, answers: int, finished: int) -> None:
        """`answers` are wanted in all; `finished` of them are in the run folder already."""

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        """Answers arrived at a point; their log-probabilities are still to come."""

    def finished(self, point: Point) -> None:
        """All answers at a point are judged and on the disk."""

    def capability(self, name: str, done: int, points: int) -> None:
        """A capability is measured and on the disk at so many of its points."""


class Silent:
    """An observer that keeps what it hears to itself."""

    def started(self, answers: int, finished: int) -> None: ...

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None: ...

    def finished(self, point: Point) -> None: ...

    def capability(self, name: str, done: int, points: int) -> None: ...


def scan(prepared: Prepared, observer: Observer | None = None) -> Result:
    """Measure what the run folder does not hold yet, judge it, and summarise the whole.

    Finished points are on the disk at any moment; the same configuration goes on where an
    interrupted run stopped. Where judges wait (`prepared.late`), the model is freed for them and
    cannot be asked again. Raises RunMismatch where the folder holds another configuration.
    """
    ids = prepared.prompts.ids
    with RunFolder.open(prepared.folder, prepared.manifest()) as run:
        measure(run, prepared, prepared.points, observer or Silent())
        prepared.make_room()
        return summarise(run, prepared.judges, ids, prepared.config.tolerance)


def scan_shard(prepared: Prepared, shard: Shard, observer: Observer | None = None) -> Result | None:
    """Measure one shard of a scan; the shard that completes the run summarises the whole.

    Shards may run at the same time, on machines that share the folder. Returns None where other
    shards are still missing or at work.
    """
    with RunFolder.open(prepared.folder, prepared.manifest(), shard.name) as run:
        measure(run, prepared, shard.points(prepared.points), observer or Silent())
        if prepared.answers_missing() or any(map(prepared.capability_points, prepared.probes)):
            return None
    try:
        run = RunFolder.open(prepared.folder, prepared.manifest())
    except RunBusy:
        return None
    with run:
        prepared.make_room()
        return summarise(run, prepared.judges, prepared.prompts.ids, prepared.config.tolerance)


def measure(
    run: RunFolder, prepared: Prepared, points: Sequence[Point], observer: Observer
) -> None:
    """Ask at these points what the run does not hold yet, and judge it by those who do not wait."""
    prompts = {prompt.id: prompt for prompt in prepared.prompts}
    ids = prepared.prompts.ids
    adopt(run, prepared.judges)
    run.record_text(LEXICON, prepared.lexicon.text())
    missing = {point: tuple(run.missing(point, ids)) for point in points}
    wanted = len(missing) * len(ids)
    observer.started(wanted, wanted - sum(map(len, missing.values())))
    walk, executor = prepared.walk(), executor_of(prepared)
    headline = prepared.judges[0]
    if any(missing.values()):
        prepared.load_judges()
        ask_everyday(run, prepared.judges, prepared.engine, prepared.sampling)
    settle(run, ids)
    if walk is not None:
        for point in points:
            if not missing[point]:
                judge_point(run, prepared.beside, point)
                walk.record(point, observed_asr(run, headline, point))
    answered: list[Point] = []
    for absent, group in by_missing(missing):
        asked = [prompts[prompt_id] for prompt_id in absent]
        for point, exchanges in executor.answers(
            group,
            asked,
            prepared.sampling,
            observer.answered,
            None if walk is None else walk.wanted,
        ):
            if walk is not None and not walk.wanted(point):
                continue
            run.write_point(point, exchanges)
            answered.append(point)
            # With the undisplaced answers the judges that waited for them read what came before.
            for each in answered if settle(run, ids) else (point,):
                judge_point(run, prepared.beside, each)
                if walk is not None:
                    walk.record(each, observed_asr(run, headline, each))
            observer.finished(point)
    if walk is not None:
        run.write_json(ASSUMED, walk.to_json(headline.name))
    if Point() in missing:
        ask_further(run, prepared)
    asked_at = [point for point in points if walk is None or walk.wanted(point)]
    measure_capabilities(run, prepared, asked_at, observer)


def ask_further(run: RunFolder, prepared: Prepared) -> None:
    """Where the limit cuts the undisplaced model's answers before a refusal, ask for a few again.

    With a longer limit, once a run, so that its result can say which limit would do. Not of vLLM,
    which would have to start again for longer answers.
    """
    # An interrupted scan may have answers there that were not judged.
    judge_point(run, prepared.beside, Point())
    names = worth_asking_further(run, prepared.beside, prepared.prompts.ids)
    if not names or prepared.engine.own_process:
        return
    engine, limit = prepared.engine, prepared.sampling.max_new_tokens
    prompts = [prompt for prompt in prepared.prompts if prompt.id in names]
    longer = longer_limit(limit)
    positions = most_positions(engine.model)
    if positions is not None:
        longest = max(len(engine.template.encode(prompt)) for prompt in prompts)
        longer = min(longer, positions - longest)
    if longer <= limit:
        return
    try:
        [(_, exchanges)] = engine.answers(
            [Point()], prompts, replace(prepared.sampling, max_new_tokens=longer)
        )
    except EngineError as error:
        # All that was asked for is measured; this comes on top.
        LOG.warning("no answer was given again with a longer limit: %s", error)
        return
    store_further(run, longer, exchanges)


def executor_of(prepared: Prepared) -> Executor:
    """What answers: the engine itself, or several workers with a copy of it each."""
    if prepared.config.executor == "ray":
        return RayActors(Recipe(answering, (prepared.for_actors().to_json(),)), prepared.config)
    count = prepared.workers()
    return prepared.engine if count == 1 else Workers(prepared.engine, count)


def measure_capabilities(
    run: RunFolder, prepared: Prepared, points: Sequence[Point], observer: Observer
) -> None:
    """Measure every capability at those of the points where the run does not hold it yet."""
    for probe in prepared.probes:
        missing = [point for point in points if run.read_capability(probe.name, point) is None]
        done = len(points) - len(missing)
        if not missing:
            continue
        observer.capability(probe.name, done, len(points))
        executor = capability_executor_of(prepared, probe, len(missing))
        for point, items in executor.answers(missing, (), prepared.sampling):
            run.write_capability(probe.name, point, items)
            done += 1
            observer.capability(probe.name, done, len(points))


def capability_executor_of(prepared: Prepared, probe: Probe, points: int) -> Probe:
    """What measures a capability: the probe itself, or several workers with a copy each."""
    if prepared.config.executor == "ray":
        recipe = Recipe(answering, (prepared.for_actors().to_json(), probe.name))
        return RayActors(recipe, prepared.config)  # type: ignore[return-value]
    count = prepared.capability_workers(points)
    if count == 1:
        return probe
    # Workers hand on what a probe yields as they do an engine's answers.
    return Workers(probe, count)  # type: ignore[arg-type, return-value]


def by_missing(
    missing: Mapping[Point, tuple[str, ...]],
) -> Iterator[tuple[tuple[str, ...], list[Point]]]:
    """Group the points that lack the same prompts, so that an engine can take them together."""
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point, ids in missing.items():
        if ids:
            groups.setdefault(ids, []).append(point)
    yield from groups.items()
