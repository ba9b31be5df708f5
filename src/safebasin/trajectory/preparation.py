"""The plane of a trajectory, the places of its checkpoints on it, and what is to be asked where."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.mismatches import refuse
from safebasin.directions import (
    Direction,
    Orthogonal,
    Projection,
    principal,
    project,
    random_direction,
)
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.errors import DirectionError
from safebasin.judges import check_judges
from safebasin.plane import Axis, Plane, Point
from safebasin.prompts import PromptSet
from safebasin.study.engine import build_engine
from safebasin.study.holding import holding
from safebasin.study.mismatches import between
from safebasin.study.parts import Part
from safebasin.study.plan import StudyPlan, study_plan
from safebasin.study.preparation import (
    checked,
    folder_of,
    harmful_prompts,
    identity_of,
    judged_by,
    named,
    on_its_day,
    sampled,
    sampling_of,
)
from safebasin.study.tuned import direction_to, end_at, load_base, tuned_checkpoint
from safebasin.study.work import Work
from safebasin.subject.subject import Subject
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)

PLANE, REAL, PROJECTED = "plane", "checkpoints", "projections"


@dataclass(frozen=True, kw_only=True)
class Prepared(Work[TrajectoryConfig]):
    """A trajectory with nothing measured or written yet.

    `explained` is the share of the checkpoints' squared displacements in each principal direction.
    """

    base: Checkpoint
    checkpoints: tuple[Checkpoint, ...]
    projections: tuple[Projection, ...]
    explained: tuple[float, ...]
    parts: tuple[Part, ...]

    def plan(self, *, probe: bool) -> StudyPlan:
        """What the trajectory will cost, by a measured batch if `probe`. Writes nothing."""
        return study_plan(self, self.parts, probe=probe)


def prepare(config: TrajectoryConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the base and lay the plane.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    prompts = sampled(harmful_prompts(scan), scan)
    check_judges(scan.judges)
    base = checked(scan)
    checkpoints = tuple(tuned_checkpoint(text, base) for text in config.checkpoints)
    for checkpoint in checkpoints:
        checkpoint.check()
    subject = load_base(base, scan, checkpoints)
    series = {name_of(i): direction_to(c, subject, name_of(i)) for i, c in enumerate(checkpoints)}
    _compare(subject, checkpoints, prompts)
    LOG.info("laying the plane through the checkpoints")
    axes, explained = _axes(config, list(series.values()), subject.weights)
    # Rounded, so that the same places come out wherever the run is resumed.
    projections = tuple(
        Projection(tuple(_rounded(value) for value in one.coordinates), one.length, one.residual)
        for one in project(list(series.values()), list(axes.values()), subject.weights)
    )
    if not any(one.length for one in projections):
        raise DirectionError(
            f"Every checkpoint has the weights of '{base.name}'.",
            "Give checkpoints that were trained.",
        )
    scan, lexicon, judges = judged_by(subject, scan, prompts)
    config = replace(config, scan=scan)
    hold = holding(len(axes), subject.weights)
    held = {name: hold(axis) for name, axis in axes.items()}
    engine = build_engine(scan, subject, {**series, **held})
    places = [Point.of({name: 1.0}) for name in series]
    ends = end_at(engine, dict(zip(places, checkpoints, strict=True)))
    sampling = sampling_of(scan, engine.own_limit)
    names = list(axes)
    at = [_place(dict(zip(names, one.coordinates, strict=True))) for one in projections]
    parts = (
        Part(REAL, prompts, tuple(_place({name: 1.0}) for name in series), judges),
        Part(PROJECTED, prompts, tuple(at), judges),
        Part(PLANE, prompts, (_grid(config, names, projections),), judges),
    )
    own = {
        "checkpoints": [named(one) for one in checkpoints],
        "plane": config.plane,
        "seed": _seed(config) if config.plane == "random" else None,
    }
    identity = identity_of(subject, engine, sampling, **own) | ends
    whole = {**identity, "parts": [dict(part.manifest({}, {}).identity) for part in parts]}
    folder = folder_of(scan, f"trajectory-{base.name}", whole)
    return Prepared(
        config=config, engine=engine, sampling=sampling, lexicon=lexicon,
        identity=on_its_day(identity, folder, scan, subject.template), folder=folder,
        build=_engine, base=base, checkpoints=checkpoints, projections=projections,
        explained=explained, parts=parts,
    )  # fmt: skip


def _engine(config: TrajectoryConfig) -> AnyEngine:
    """The engine of a trajectory with these settings, built anew."""
    return prepare(config).engine


def _compare(subject: Subject, checkpoints: Sequence[Checkpoint], prompts: PromptSet) -> None:
    """Warn of what the checkpoints bring beside weights; raise where it changes their answers."""
    rows = vocabulary_rows(subject.model)
    told: dict[str, None] = {}
    for one in checkpoints:
        found = between(subject.template, subject.checkpoint, one, prompts, rows)
        refuse(found, DirectionError)
        told |= {f"{one.name}: {mismatch.sentence}": None for mismatch in found}
    for text in told:
        LOG.warning("%s", text)


def name_of(index: int) -> str:
    """The name of a checkpoint's direction."""
    return f"checkpoint-{index + 1}"


def _seed(config: TrajectoryConfig) -> int:
    return config.scan.random_seeds[0]


def _axes(
    config: TrajectoryConfig, series: Sequence[Direction], weights: Weights
) -> tuple[dict[str, Direction], tuple[float, ...]]:
    if config.plane == "principal":
        found = principal(series, weights)
        return {one.name: one for one in found.directions}, found.shares
    along = series[-1]
    if config.plane == "interpolation":
        # Gram-Schmidt, then as long as the first axis (Peng et al. 2024, Sec. 3).
        name = f"{series[0].name}-orthogonal"
        second = Orthogonal(series[0], along, weights, "global", name=name)
        return {along.name: along, second.name: second}, ()
    # Norm layers stay, and the axis keeps the unit it has in a scan.
    scan = config.scan
    noise = random_direction(_seed(config), weights.select(), scan.normalise, scan.law)
    across = Orthogonal(noise, along, weights)
    return {along.name: along, across.name: across}, ()


def _place(coordinates: Mapping[str, float]) -> Plane:
    return Plane(tuple(Axis(name, (value,)) for name, value in coordinates.items()))


def _grid(
    config: TrajectoryConfig, names: Sequence[str], projections: Sequence[Projection]
) -> Plane:
    """Cells of one size that hold every checkpoint, the origin and some room around them."""
    ranges = []
    for k in range(2):
        values = [0.0, *(one.coordinates[k] for one in projections)]
        ranges.append((min(values), max(values)))
    steps, pad = config.scan.steps, config.padding
    extent = max(high - low for low, high in ranges)
    if config.plane == "random":
        radius = config.scan.radius
        ranges[1] = (-radius, radius)
        cells = ((ranges[0][1] - ranges[0][0]) * (1 + 2 * pad) / steps, 2 * radius / steps)
        pads = ((ranges[0][1] - ranges[0][0]) * pad, 0.0)
    else:
        cell = extent * (1 + 2 * pad) / steps
        cells, pads = (cell, cell), (extent * pad, extent * pad)
    axes = [
        Axis(name, _multiples(low - room, high + room, cell))
        for name, (low, high), cell, room in zip(names, ranges, cells, pads, strict=True)
    ]
    return Plane(tuple(axes))


def _multiples(low: float, high: float, cell: float) -> tuple[float, ...]:
    """The multiples of a cell, zero among them, whose range holds [low, high]."""
    cell = _rounded(cell)
    first = math.floor(low / cell + 1e-4)
    last = math.ceil(high / cell - 1e-4)
    return tuple(round(i * cell, 12) + 0.0 for i in range(first, last + 1))


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}") + 0.0
