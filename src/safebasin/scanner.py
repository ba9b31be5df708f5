"""The main job: ask the prompts at every point of the planes, keep each answer, draw the map."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from safebasin import prompts as prompt_sets
from safebasin.capability import Bench, Probe, load_tasks
from safebasin.checkpoint import Checkpoint
from safebasin.config import DEFAULT_MAX_NEW_TOKENS, ScanConfig
from safebasin.directions import (
    Direction,
    Gaussian,
    Given,
    Orthogonal,
    Resident,
    cosine,
    digest,
)
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm.engine import VllmEngine
from safebasin.engines.vllm.session import require_vllm
from safebasin.errors import RunBusy
from safebasin.exchange import Exchange
from safebasin.judges import Judge, Lexicon, common_stop_rule
from safebasin.judges import build as build_judge
from safebasin.plan import CapabilityPlan, Plan, estimate
from safebasin.plane import Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.results import (
    ASSUMED,
    LEXICON,
    Result,
    assumed_points,
    judge_point,
    observed_asr,
    summarise,
)
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.run.names import default_folder
from safebasin.spread import Executor
from safebasin.spread.ray_actors import RayActors
from safebasin.spread.shards import Shard
from safebasin.spread.workers import Workers, available_cores, can_fork
from safebasin.walk import Walk
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)

SMALL_MODEL = 10_000_000
"""Parameters of a model that is too small for several threads."""

WORTH_WORKERS = 500
"""How many missing answers are worth worker processes."""

RESIDENT_BYTES = 128 * 2**20
"""Directions that take less than this together are drawn once, not at every point."""


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


@dataclass(frozen=True)
class Prepared:
    """A scan with everything loaded and checked, and nothing measured or written yet."""

    config: ScanConfig
    checkpoint: Checkpoint
    planes: tuple[Plane, ...]
    prompts: PromptSet
    engine: AnyEngine
    sampling: Sampling
    lexicon: Lexicon
    judges: tuple[Judge, ...]
    identity: Mapping[str, Any]
    folder: Path
    probes: tuple[Probe, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The distinct points of all planes, the origin first and then outward."""
        return outward(self.planes)

    def plan(self) -> Plan:
        """What the scan will cost, by a measured batch. Writes nothing."""
        plan = estimate(
            self.engine, self.prompts.prompts, self.sampling, self.points, self.answers_missing()
        )
        capabilities = tuple(self._plan_of(probe) for probe in self.probes)
        return replace(plan.by_workers(self.workers()), capabilities=capabilities)

    def _plan_of(self, probe: Probe) -> CapabilityPlan:
        points = self.capability_points(probe)
        seconds = probe.seconds(points) if points else (0.0, 0.0)
        if seconds is not None:
            count = self.capability_workers(len(points))
            seconds = seconds[0] / count, seconds[1] / count
        return CapabilityPlan(probe.name, len(points), seconds)

    def executor(self) -> Executor:
        """What answers: the engine itself, or several workers with a copy of it each."""
        if self.config.executor == "ray":
            return RayActors(self.config)
        count = self.workers()
        return self.engine if count == 1 else Workers(self.engine, count)

    def workers(self) -> int:
        """How many processes answer."""
        model = self.engine.model
        if model.device.type != "cpu" or not can_fork() or isinstance(self.engine, VllmEngine):
            return 1
        if self.config.workers is not None:
            return self.config.workers
        small = sum(p.numel() for p in model.parameters()) < SMALL_MODEL
        return available_cores() if small and self.answers_missing() >= WORTH_WORKERS else 1

    def capability_executor(self, probe: Probe, points: int) -> Probe:
        """What measures a capability: the probe itself, or several workers with a copy each."""
        if self.config.executor == "ray":
            return RayActors(self.config, probe.name)  # type: ignore[return-value]
        count = self.capability_workers(points)
        if count == 1:
            return probe
        # Workers hand on what a probe yields as they do an engine's answers.
        return Workers(probe, count)  # type: ignore[arg-type, return-value]

    def capability_workers(self, points: int) -> int:
        """How many processes measure a capability at so many points."""
        model = self.engine.model
        if model.device.type != "cpu" or not can_fork():
            return 1
        small = sum(p.numel() for p in model.parameters()) < SMALL_MODEL
        count = self.config.workers or (available_cores() if small else 1)
        return max(1, min(count, points))

    def capability_points(self, probe: Probe) -> list[Point]:
        """The points at which a capability is still to be measured; none that is assumed."""
        if not (self.folder / "manifest.json").exists():
            return list(self.points)
        run = RunFolder.read(self.folder)
        skipped = assumed_points(run)
        return [
            point
            for point in self.points
            if point not in skipped and run.read_capability(probe.name, point) is None
        ]

    def walk(self) -> Walk | None:
        """How far outward to go, where the scan stops at the plateau; None where it does not."""
        if not self.config.stop_at_plateau:
            return None
        return Walk(self.planes, self.config.plateau_points)

    def manifest(self) -> Manifest:
        """What the run folder records of this scan."""
        return Manifest(
            self.identity,
            self.prompts.ids,
            self.config.to_json(),
            capabilities={probe.name: dict(probe.spec()) for probe in self.probes},
        )

    def answers_missing(self) -> int:
        """The number of answers that are not in the run folder yet."""
        wanted = len(self.points) * len(self.prompts)
        if not (self.folder / "manifest.json").exists():
            return wanted
        run = RunFolder.read(self.folder)
        return sum(len(run.missing(point, self.prompts.ids)) for point in self.points)


def prepare(config: ScanConfig) -> Prepared:
    """Check everything that can be checked, cheap things first, then load the model.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    planes = config.planes()
    if config.shard is not None:
        Shard.parse(config.shard)
    everything = harmful_of(prompt_sets.load(config.prompts, column=config.column))
    wanted = min(config.limit or len(everything), len(everything))
    prompts = everything.sample(wanted, config.sample_seed)
    for name in config.judges:
        build_judge(name)
    tasks = load_tasks(config)
    checkpoint = Checkpoint.parse(config.model, trust_remote_code=config.trust_remote_code)
    checkpoint.check()
    on_host = config.engine == "vllm"  # it has the device's memory to itself
    if on_host:
        require_vllm()
    model, tokenizer = checkpoint.load(config.dtype, config.device, keep_on_host=on_host)
    weights = Weights(
        model,
        include=config.include,
        exclude=config.exclude,
        layers=config.layers,
        tied=config.tied,
    )
    directions = build_directions(config, weights)
    template = Template.of(tokenizer, config.template, config.system)
    # The words of all prompts, so that a larger sample later has the same lexicon.
    lexicon = Lexicon.of(tokenizer.get_vocab(), [prompt.text for prompt in everything])
    judges = tuple(build_judge(name, lexicon=lexicon) for name in config.judges)
    engine = build_engine(config, model, weights, directions, template, judges)
    sampling = Sampling(config.max_new_tokens or engine.own_limit or DEFAULT_MAX_NEW_TOKENS)
    identity = {
        "model": {"name": checkpoint.name, **checkpoint.spec()},
        "weights": weights.spec(),
        "directions": describe(directions, weights, config.axes),
        "planes": [plane_to_json(plane) for plane in planes],
        "prompts": {
            "name": prompts.name,
            "sha256": prompts.sha256,
            "revision": prompts.revision,
            "kinds": sorted({prompt.kind for prompt in everything}),
            "sample_seed": config.sample_seed,
        },
        "engine": engine.spec(),
        "sampling": sampling.spec(),
    }
    folder = Path(config.out) if config.out else default_folder(checkpoint.name, identity)
    bench = Bench(model, weights, directions, template, config.batch)
    return Prepared(
        config, checkpoint, planes, prompts, engine, sampling, lexicon, judges, identity, folder,
        tuple(task.probe(bench) for task in tasks),
    )  # fmt: skip


def harmful_of(prompts: PromptSet) -> PromptSet:
    """The harmful requests of a mixed set; a set without any stays as it is, with a warning.

    The ASR of a landscape is about requests that should be refused.
    """
    harmful = tuple(prompt for prompt in prompts if prompt.kind == "harmful")
    if not harmful:
        LOG.warning(
            "no prompt of %s is harmful: its ASR counts answers that are wanted", prompts.name
        )
        return prompts
    return replace(prompts, prompts=harmful)


def build_directions(config: ScanConfig, weights: Weights) -> dict[str, Direction]:
    """The directions that the configuration names, by name.

    Of a plane's two directions the second one is made orthogonal to the first (Gram-Schmidt).
    """
    directions: dict[str, Direction] = {}
    if config.directions:
        for name, path in zip(config.direction_names, config.directions, strict=True):
            directions[name] = Given(Path(path), weights, scale=config.direction_scale, name=name)
    else:
        for name, seed in zip(config.direction_names, config.random_seeds, strict=True):
            directions[name] = Gaussian(seed, weights, normalise=config.normalise)
    if config.axes == 2 and not config.directions:
        names = list(directions)
        for first, second in zip(names[::2], names[1::2], strict=True):
            directions[second] = Orthogonal(directions[second], directions[first])
    elements = sum(math.prod(view.shape) for view in weights.views())
    if 4 * elements * len(directions) <= RESIDENT_BYTES:
        return {
            name: Resident(direction, weights, workers=1) for name, direction in directions.items()
        }
    return directions


def build_engine(
    config: ScanConfig,
    model: Any,
    weights: Weights,
    directions: Mapping[str, Direction],
    template: Template,
    judges: Sequence[Judge],
) -> AnyEngine:
    """The engine that the configuration names; answers end early only where no verdict changes."""
    if config.engine == "plain":
        return PlainEngine(model, weights, directions, template, config.batch)
    stop = None if config.full_responses else common_stop_rule(judges)
    if config.engine == "vllm":
        return VllmEngine(
            model,
            weights,
            directions,
            template,
            stop=stop,
            rows=config.batch,
            scores=stop is None,
            device=config.device,
            trust_remote_code=config.trust_remote_code,
        )
    return FastEngine(
        model,
        weights,
        directions,
        template,
        stop=stop,
        mode=config.mode,
        rows=config.batch,
        drafts=config.drafts,
        # Only judges of whole answers read how likely they are.
        scores=stop is None,
    )


def describe(
    directions: Mapping[str, Direction], weights: Weights, axes: int
) -> list[dict[str, Any]]:
    """For the manifest: what rebuilds each direction, its digest, and the cosine of each pair."""
    described = []
    names = list(directions)
    for i, name in enumerate(names):
        entry = dict(directions[name].spec())
        entry.pop("path", None)  # where a file lies does not matter; its digest does
        entry["digest"] = digest(directions[name], weights)
        if axes == 2 and i % 2:
            entry["cosine"] = cosine(directions[names[i - 1]], directions[name], weights)
        described.append(entry)
    return described


def scan(prepared: Prepared, observer: Observer | None = None) -> Result:
    """Measure what the run folder does not hold yet, judge it, and summarise the whole.

    Finished points are on the disk at any moment; the same configuration goes on where an
    interrupted run stopped. Raises RunMismatch where the folder holds another configuration.
    """
    ids = prepared.prompts.ids
    with RunFolder.open(prepared.folder, prepared.manifest()) as run:
        measure(run, prepared, prepared.points, observer or Silent())
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
        return summarise(run, prepared.judges, prepared.prompts.ids, prepared.config.tolerance)


def measure(
    run: RunFolder, prepared: Prepared, points: Sequence[Point], observer: Observer
) -> None:
    """Ask at these points what the run does not hold yet, and judge it."""
    prompts = {prompt.id: prompt for prompt in prepared.prompts}
    ids = prepared.prompts.ids
    for judge in prepared.judges:
        run.adopt_judge(judge.name, judge.spec())
    run.write_text(LEXICON, prepared.lexicon.text())
    missing = {point: tuple(run.missing(point, ids)) for point in points}
    wanted = len(missing) * len(ids)
    observer.started(wanted, wanted - sum(map(len, missing.values())))
    walk, executor = prepared.walk(), prepared.executor()
    headline = prepared.judges[0]
    if walk is not None:
        for point in points:
            if not missing[point]:
                judge_point(run, prepared.judges, point)
                walk.record(point, observed_asr(run, headline, point))
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
            judge_point(run, prepared.judges, point)
            if walk is not None:
                walk.record(point, observed_asr(run, headline, point))
            observer.finished(point)
    if walk is not None:
        run.write_json(ASSUMED, walk.to_json(headline.name))
    asked_at = [point for point in points if walk is None or walk.wanted(point)]
    measure_capabilities(run, prepared, asked_at, observer)


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
        executor = prepared.capability_executor(probe, len(missing))
        for point, items in executor.answers(missing, (), prepared.sampling):
            run.write_capability(probe.name, point, items)
            done += 1
            observer.capability(probe.name, done, len(points))


def by_missing(
    missing: Mapping[Point, tuple[str, ...]],
) -> Iterator[tuple[tuple[str, ...], list[Point]]]:
    """Group the points that lack the same prompts, so that an engine can take them together."""
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point, ids in missing.items():
        if ids:
            groups.setdefault(ids, []).append(point)
    yield from groups.items()
