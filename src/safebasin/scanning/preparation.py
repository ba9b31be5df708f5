"""What a scan needs before it starts: everything loaded and checked, its plan and its workers."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from safebasin.addresses import local_path
from safebasin.capability.exact import ExactProbe
from safebasin.capability.probe import Bench, Probe
from safebasin.capability.tasks import load_tasks
from safebasin.checkpoint import Checkpoint
from safebasin.config import ScanConfig
from safebasin.defences.scans import Scans
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.clock import reads_clock
from safebasin.engines.fast.engine import FastEngine
from safebasin.errors import UsageError
from safebasin.exchange import Exchange
from safebasin.judges import AsksAgain, HoldsModel, Judge, Lexicon, check_judges
from safebasin.judges.placement import waiting
from safebasin.plan import CapabilityPlan, Plan, estimate, outline
from safebasin.plane import Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.reference import everyday_to_ask
from safebasin.results import assumed_points
from safebasin.run import RunFolder
from safebasin.run.folder import LEXICON, MANIFEST
from safebasin.run.identity import Identity, Late
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.run.names import default_folder, may_be_begun
from safebasin.run.provenance import plain_json
from safebasin.scanning.walk import Walk
from safebasin.spread.executor import Recipe
from safebasin.spread.followers import Followers
from safebasin.spread.leading import LeadingEngine
from safebasin.spread.shards import Shard
from safebasin.study.engine import (
    build_directions,
    build_engine,
    late_description,
    settings_elsewhere,
)
from safebasin.study.preparation import (
    besides_the_model,
    checked,
    harmful_prompts,
    judged_by,
    load,
    named,
    on_its_day,
    sampled,
    sampling_of,
)
from safebasin.study.spread import Spread, prober_count, worker_count
from safebasin.study.steered import SteeredEngine
from safebasin.thought_plan import thought_plan
from safebasin.truncation import further_at_most
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A scan with everything loaded and checked, and nothing measured or written yet.

    `determining` is the identity, with the model and the directions not described yet; `out` is
    the run folder where it is given or known: else its name follows from the identity.
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
    determining: Identity
    out: Path | None
    probes: tuple[Probe, ...] = ()
    late: tuple[Judge, ...] = ()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What determines the answers; for the digests of the directions these are drawn."""
        return whole(self.determining, self.checkpoint)

    @cached_property
    def folder(self) -> Path:
        """The run folder; for a name that follows from the identity the directions are drawn."""
        return self.out or default_folder(self.checkpoint.name, self.identity)

    @property
    def is_begun(self) -> bool:
        """Whether the run folder is there. Nothing is drawn where no run of the model is."""
        if self.out is None and not may_be_begun(self.checkpoint.name, self.determining["planes"]):
            return False
        return (self.folder / MANIFEST).exists()

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

    def spread(self, capability: str | None = None) -> Spread[Any]:
        """How the prompts are spread, or what measures a capability; an actor builds it anew."""
        return Spread(self.config, Recipe(answering, (self.for_actors().to_json(), capability)))

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
        # A divided model is computed with only where all its processes are told to.
        probe = probe and not self.engine.weights.divided
        size = estimate if probe else outline
        plan = size(self.engine, self.prompts.prompts, self.sampling, self.points, missing)
        if probe:
            plan = plan.with_asides(*self._asides())
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

    def _asides(self) -> tuple[float, float]:
        """What is asked beside the points, in answers of full length: everyday, and at most."""
        run = RunFolder.read(self.folder) if self.is_begun else None
        limit = self.sampling.max_new_tokens
        names = self.checkpoint.name, self.prompts.name
        everyday = everyday_to_ask(run, self.judges, *names, limit)
        asks = Point() in self.points and not self.engine.own_process
        return everyday, further_at_most(run, limit) if asks else 0.0

    def _at_origin(self) -> list[Exchange]:
        """The answers of the undisplaced model that the run folder holds."""
        if not self.is_begun:
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
            count = prober_count(self.config, self.engine.model, len(points))
            seconds = seconds[0] / count, seconds[1] / count
        return CapabilityPlan(probe.name, len(points), seconds)

    def workers(self, missing: int | None = None) -> int:
        """How many processes answer.

        `missing` is what `answers_missing` gives; where it is None the run's records are read.
        """
        wanted = self.answers_missing if missing is None else lambda: missing
        return worker_count(self.config, self.engine, wanted)

    def capability_points(self, probe: Probe) -> list[Point]:
        """The points at which a capability is still to be measured; none that is assumed."""
        if not self.is_begun:
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
        if not self.is_begun:
            return wanted
        run = RunFolder.read(self.folder)
        return sum(len(run.missing(point, self.prompts.ids)) for point in self.points)

    def answers_to_judge(self, judge: Judge) -> int:
        """The number of answers, those still to be given included, that the judge will read."""
        wanted = {(point, name) for point in self.points for name in self.prompts.ids}
        if self.is_begun:
            run, spec = RunFolder.read(self.folder), judge.spec()
            known = run.judges().get(judge.name) == plain_json(spec)
            for point in self.points if known else ():
                for name, verdict in run.read_verdicts(judge.name, spec, point).items():
                    if not (isinstance(judge, AsksAgain) and judge.again(verdict)):
                        wanted.discard((point, name))
        return len(wanted)


def whole(determining: Identity, checkpoint: Checkpoint) -> dict[str, Any]:
    """An identity with all digests: the model's files are read while directions are drawn."""
    with checkpoint.hashed_meanwhile():
        _ = determining["directions"]
        return dict(determining)


def prepare(config: ScanConfig, *, follows: bool = False) -> Prepared:
    """Check everything that can be checked, cheap things first, then load the model.

    A model that is divided among processes is loaded in all of them: the others, which are started
    here, do the same as the first, but that each `follows`. Raises a SafebasinError that names what
    is wrong; nothing is written.
    """
    planes = config.planes()
    if config.shard is not None:
        Shard.parse(config.shard)
    everything = harmful_prompts(config)
    prompts = sampled(everything, config)
    check_judges(config.judges)
    tasks = load_tasks(config)
    checkpoint = checked(config)
    followers = None
    if config.engine == "fast" and (processes := config.tensor_parallel) > 1:
        checkpoint.require_divisible(processes)
        if not follows:
            followers = Followers(processes - 1, config.to_json())
        with nullcontext() if followers is None else followers.met():
            subject = load(checkpoint, config, processes, hashed=False)
    else:
        subject = load(checkpoint, config, hashed=False)
    model, weights, template = subject.model, subject.weights, subject.template
    directions = build_directions(config, weights)
    asked = [template.render(prompt.text, prompt.prefill) for prompt in prompts]
    checkpoint.require_stored_tokens(subject.tokenizer, asked)
    # The words of all prompts, so that a larger sample later has the same lexicon.
    config, lexicon, judges = judged_by(subject, config, everything)
    engine: AnyEngine
    if config.steer is None:
        fast = FastEngine if followers is None else partial(LeadingEngine, followers)
        engine = build_engine(config, subject, directions, judges, fast)
    else:
        steering = Scans.read(config.steer)
        engine = SteeredEngine(subject, steering, config.steer_strength, config.batch, directions)
    sampling = sampling_of(config, engine.own_limit)
    own = {
        "directions": late_description(config, directions, weights),
        "planes": [plane_to_json(plane) for plane in planes],
        "prompts": {
            "name": prompts.name,
            "sha256": prompts.sha256,
            "revision": prompts.revision,
            "kinds": sorted({prompt.kind for prompt in everything}),
            "sample_seed": config.sample_seed,
            **prompts.taken(),
        },
    }
    besides = besides_the_model(subject, engine, sampling, **own)
    identity = Identity({"model": Late(lambda: named(checkpoint)), **besides})
    out = local_path(config.out) if config.out else None
    recorded = out
    if out is None and reads_clock(template.source):
        begun = may_be_begun(checkpoint.name, identity["planes"])
        recorded = default_folder(checkpoint.name, whole(identity, checkpoint)) if begun else None
    identity = on_its_day(identity, recorded, config, template)
    bench = Bench(model, weights, directions, template, config.batch, sampling.max_new_tokens)
    prepared = Prepared(
        config, checkpoint, planes, prompts, engine, sampling, lexicon, judges, identity, out,
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


def answering(config: Mapping[str, Any], capability: str | None = None) -> Any:
    """The engine of a scan with these settings, or its probe of a capability, built anew."""
    prepared = prepare(ScanConfig.from_json(config))
    probes: dict[str | None, Any] = {probe.name: probe for probe in prepared.probes}
    return prepared.engine if capability is None else probes[capability]
