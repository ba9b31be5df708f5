"""What a scan needs before it starts: everything loaded and checked, its plan and its workers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.capability.exact import ExactProbe
from safebasin.capability.probe import Bench, Probe
from safebasin.capability.tasks import load_tasks
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_mismatches import compare_adapter
from safebasin.config import (
    DEFAULT_JUDGES,
    DEFAULT_MAX_NEW_TOKENS,
    PLATEAU_POINTS,
    ScanConfig,
)
from safebasin.directions import (
    Direction,
    Given,
    Orthogonal,
    Resident,
    cosine,
    digest,
    random_direction,
)
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.clock import settle_day
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm.engine import VllmEngine
from safebasin.engines.vllm.session import require_vllm
from safebasin.errors import UsageError
from safebasin.exchange import Exchange
from safebasin.judges import (
    AsksAgain,
    HoldsModel,
    Judge,
    KeywordJudge,
    Lexicon,
    build_all,
    check_judges,
    common_stop_rule,
)
from safebasin.judges.placement import waiting
from safebasin.plan import CapabilityPlan, Plan, estimate, outline
from safebasin.plane import Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.results import LEXICON, assumed_points
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.run.names import default_folder
from safebasin.run.verdicts import plain_json
from safebasin.spread.shards import Shard
from safebasin.spread.workers import available_cores, can_fork
from safebasin.thought_plan import thought_plan
from safebasin.walk import Walk
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)

SMALL_MODEL = 10_000_000
"""Parameters of a model that is too small for several threads."""

WORTH_WORKERS = 500
"""How many missing answers are worth worker processes."""

RESIDENT_BYTES = 128 * 2**20
"""Directions that take less than this together are drawn once, not at every point."""


@dataclass(frozen=True)
class Prepared:
    """A scan with everything loaded and checked, and nothing measured or written yet.

    `late` are those of the judges whose models do not fit in memory beside the model that is
    asked: they read once all is answered and that one is freed.
    """

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
    late: tuple[Judge, ...] = ()

    @property
    def beside(self) -> tuple[Judge, ...]:
        """The judges that read each point as soon as it is answered."""
        return tuple(judge for judge in self.judges if judge not in self.late)

    def require_verdicts(self, way: str) -> None:
        """Raise UsageError where the headline judge has no verdict yet when a point is answered."""
        headline = self.judges[0]
        if headline in self.late:
            raise UsageError(
                f"{way} needs a verdict at every point, and {headline.name} does not fit in memory "
                "beside the model.",
                f"Leave out {way}, put another judge first, or load the guard elsewhere or smaller "
                "with ?device=cpu or ?dtype=bfloat16.",
            )

    def for_actors(self) -> ScanConfig:
        """The settings by which another process answers just so."""
        return settings_elsewhere(self.config, self.judges, self.engine.template.day)

    def load_judges(self) -> None:
        """Load the models that fit, so that the engine plans its batches by what they leave."""
        for judge in self.beside:
            if isinstance(judge, HoldsModel):
                LOG.info("loading the judge %s", judge.name)
                judge.load()

    def make_room(self) -> None:
        """Where judges wait, free the model, with which nothing can be asked any more."""
        if not self.late:
            return
        for judge in self.judges:
            if isinstance(judge, HoldsModel):
                judge.unload()
        for probe in self.probes:
            if isinstance(probe, ExactProbe):
                probe.engine.free()
        self.engine.free()

    @property
    def points(self) -> tuple[Point, ...]:
        """The distinct points of all planes, the origin first and then outward."""
        return outward(self.planes)

    def plan(self, *, probe: bool = True) -> Plan:
        """What the scan will cost, by a measured batch unless `probe` is off. Writes nothing."""
        missing = self.answers_missing()
        size = estimate if probe else outline
        plan = size(self.engine, self.prompts.prompts, self.sampling, self.points, missing)
        if probe and (plan.thinks or self.engine.template.thinks):
            LOG.info("looking at the length of thoughts")
            known = self._at_origin()
            thought = thought_plan(self.engine, self.prompts.prompts, self.sampling, known)
            plan = replace(plan, thought=thought)
        capabilities = tuple(self._plan_of(one, measure=probe) for one in self.probes)
        return replace(
            plan.by_workers(self.workers(missing)),
            capabilities=capabilities,
            judges_beside=tuple(one.name for one in self.beside if isinstance(one, HoldsModel)),
            judges_last=tuple(one.name for one in self.late),
        )

    def _at_origin(self) -> list[Exchange]:
        """The answers of the undisplaced model that the run folder holds."""
        if not (self.folder / "manifest.json").exists():
            return []
        run = RunFolder.read(self.folder)
        if run.manifest.identity != self.identity:
            return []  # of other settings, which is refused before anything is asked
        asked = {prompt.id for prompt in self.prompts}
        return [e for e in run.read_point(Point()) or () if e.prompt_id in asked]

    def _plan_of(self, probe: Probe, *, measure: bool) -> CapabilityPlan:
        points = self.capability_points(probe)
        if points and not measure:
            return CapabilityPlan(probe.name, len(points), None)
        if points:
            LOG.info("probing the speed of %s", probe.name)
        seconds = probe.seconds(points) if points else (0.0, 0.0)
        if seconds is not None:
            count = self.capability_workers(len(points))
            seconds = seconds[0] / count, seconds[1] / count
        return CapabilityPlan(probe.name, len(points), seconds)

    def workers(self, missing: int | None = None) -> int:
        """How many processes answer.

        `missing` is what `answers_missing` gives; where it is None the run's records are read.
        """
        wanted = self.answers_missing if missing is None else lambda: missing
        return worker_count(self.config, self.engine, wanted)

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
            rendered=self.engine.template.rendered.to_json(),
            renderings=self.engine.template.renderings(self.prompts),
            content=self.prompts.content,
            files={LEXICON: self.lexicon.sha256},
        )

    def answers_missing(self) -> int:
        """The number of answers that are not in the run folder yet."""
        wanted = len(self.points) * len(self.prompts)
        if not (self.folder / "manifest.json").exists():
            return wanted
        run = RunFolder.read(self.folder)
        return sum(len(run.missing(point, self.prompts.ids)) for point in self.points)

    def answers_to_judge(self, judge: Judge) -> int:
        """The number of answers, those still to be given included, that the judge will read."""
        wanted = {(point, name) for point in self.points for name in self.prompts.ids}
        if (self.folder / "manifest.json").exists():
            run, spec = RunFolder.read(self.folder), judge.spec()
            known = run.judges().get(judge.name) == plain_json(spec)
            for point in self.points if known else ():
                for name, verdict in run.read_verdicts(judge.name, spec, point).items():
                    if not (isinstance(judge, AsksAgain) and judge.again(verdict)):
                        wanted.discard((point, name))
        return len(wanted)


def prepare(config: ScanConfig) -> Prepared:
    """Check everything that can be checked, cheap things first, then load the model.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    planes = config.planes()
    if config.shard is not None:
        Shard.parse(config.shard)
    everything = harmful_of(prompt_sets.load(config.prompts, config.column, config.prompts_kind))
    prompts = everything.take(config.limit, config.sample_seed, first=config.first)
    check_judges(config.judges)
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
    template = Template.of(tokenizer, config.template, config.system, config.marks)
    compare_adapter(checkpoint, tokenizer, template.source)
    asked = [template.render(prompt.text) for prompt in prompts]
    checkpoint.require_stored_tokens(tokenizer, asked)
    # The words of all prompts, so that a larger sample later has the same lexicon.
    lexicon = Lexicon.of(tokenizer.get_vocab(), [prompt.text for prompt in everything])
    judges = build_all(config.judges, lexicon)
    config = config.judged_by([judge.name for judge in judges])
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
            **prompts.order(),
        },
        "engine": engine.spec(),
        "sampling": sampling.spec(),
    }
    folder = Path(config.out) if config.out else default_folder(checkpoint.name, identity)
    identity = settle_day(identity, folder, config.date, template.clock, template.source)
    bench = Bench(model, weights, directions, template, config.batch, sampling.max_new_tokens)
    prepared = Prepared(
        config, checkpoint, planes, prompts, engine, sampling, lexicon, judges, identity, folder,
        tuple(task.probe(bench) for task in tasks), _late(config, checkpoint, weights, judges),
    )  # fmt: skip
    if config.stop_at_plateau:
        prepared.require_verdicts("--stop-at-plateau")
    return prepared


def _late(
    config: ScanConfig, checkpoint: Checkpoint, weights: Weights, judges: Sequence[Judge]
) -> tuple[Judge, ...]:
    """The judges that have to wait for the model's memory."""
    if not any(isinstance(judge, HoldsModel) for judge in judges):
        return ()
    # vLLM takes for itself what is free where it runs.
    reserved = math.inf if config.engine == "vllm" else weights.pristine_bytes
    _, device = checkpoint.footprint(config.dtype, config.device)
    return waiting(judges, str(device), reserved)


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


def worker_count(config: ScanConfig, engine: AnyEngine, missing: Callable[[], int]) -> int:
    """How many processes answer; `missing`, the answers to be given, is asked for if it matters."""
    model = engine.model
    if model.device.type != "cpu" or not can_fork() or engine.own_process:
        return 1
    if config.workers is not None:
        return config.workers
    if sum(p.numel() for p in model.parameters()) >= SMALL_MODEL:
        return 1
    return available_cores() if missing() >= WORTH_WORKERS else 1


def settings_elsewhere(config: ScanConfig, judges: Sequence[Judge], day: str | None) -> ScanConfig:
    """The settings by which a process elsewhere answers just so, alone and for itself.

    The judges read here, and a judge of one's own may be nowhere else: of them the other process
    is told when an answer is decided. Where a walk ends is known here, too, and on which `day`
    the chat template is told that it is asked, None where it does not matter.
    """
    alone = replace(
        config, executor="local", ray_address=None, workers=1, shard=None, stop_at_plateau=False,
        plateau_points=PLATEAU_POINTS, date=day,
    )  # fmt: skip
    stop = None if config.full_responses else common_stop_rule(judges)
    if stop is None:
        return replace(alone, judges=DEFAULT_JUDGES[:1], full_responses=True)
    judge = KeywordJudge("decided", stop.keywords, ignore_case=stop.ignore_case)
    return replace(alone, judges=(judge,))


def answering(config: Mapping[str, Any], capability: str | None = None) -> Any:
    """The engine of a scan with these settings, or its probe of a capability, built anew."""
    prepared = prepare(ScanConfig.from_json(config))
    probes: dict[str | None, Any] = {probe.name: probe for probe in prepared.probes}
    return prepared.engine if capability is None else probes[capability]


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
            directions[name] = random_direction(seed, weights, config.normalise, config.law)
    if config.axes == 2 and not config.directions:
        names = list(directions)
        for first, second in zip(names[::2], names[1::2], strict=True):
            directions[second] = Orthogonal(directions[second], directions[first])
    if config.law == "counter" and weights.device.type != "cpu":
        return directions  # drawn where they are added
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
    LOG.info("drawing %d %s", len(names), "direction" if len(names) == 1 else "directions")
    for i, name in enumerate(names):
        entry = dict(directions[name].spec())
        entry.pop("path", None)  # where a file lies does not matter; its digest does
        entry["digest"] = digest(directions[name], weights)
        if axes == 2 and i % 2:
            entry["cosine"] = cosine(directions[names[i - 1]], directions[name], weights)
        described.append(entry)
    return described
