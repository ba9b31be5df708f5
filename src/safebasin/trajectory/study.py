"""The measurement of a trajectory: the map of its plane, and its stations measured twice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.directions import Projection
from safebasin.exchange import Outcome
from safebasin.judges import Judge
from safebasin.landscape import REFUSED, Landscape
from safebasin.landscape.cells import has_verdict
from safebasin.landscape.intervals import Estimate
from safebasin.plane import Point
from safebasin.report.page import PAGE, write_page
from safebasin.report.studies import TRAJECTORY, read_way
from safebasin.report.trajectory import draw_trajectory
from safebasin.results import Result, summarise
from safebasin.run import RunFolder, sealed
from safebasin.run.records import SCHEMA_VERSION
from safebasin.spread.shards import Shard
from safebasin.study.loop import measure
from safebasin.study.observer import Observer, Silent
from safebasin.study.paired import Paired, paired
from safebasin.study.parts import Part, finished, unmeasured
from safebasin.trajectory.preparation import PLANE, PROJECTED, REAL, Prepared


@dataclass(frozen=True)
class Station:
    """One checkpoint: where it lies, what the plane leaves out of it, and its ASR there.

    real       ASR of the checkpoint itself
    projected  ASR at its place on the plane
    gap        real against projected on the same prompts: what the projection hides
    """

    name: str
    projection: Projection
    real: Estimate
    projected: Estimate
    gap: Paired

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "coordinates": list(self.projection.coordinates),
            "relative_length": self.projection.length,
            "residual": self.projection.residual,
            "asr": self.real.to_json(),
            "asr_on_the_plane": self.projected.to_json(),
            "gap": self.gap.to_json(),
        }


@dataclass(frozen=True)
class Trajectory:
    """The stations of a training run, and the landscape of the plane they are drawn on."""

    folder: Path
    base: str
    prompts: str
    tolerance: float
    axes: tuple[str, str]
    explained: tuple[float, ...]
    stations: tuple[Station, ...]
    plane: Result
    notes: tuple[str, ...] = ()
    figures: tuple[Path, ...] = ()
    page: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "base": self.base,
            "prompts": self.prompts,
            "tolerance": self.tolerance,
            "axes": list(self.axes),
            "explained": list(self.explained),
            "stations": [station.to_json() for station in self.stations],
            "notes": list(self.notes),
            "plane": self.plane.to_json(),
        }


def trace_shard(
    prepared: Prepared, shard: Shard, observer: Observer | None = None
) -> Trajectory | None:
    """Measure one shard; the one that completes the trajectory summarises it.

    Shards may run at the same time, on machines that share the folder. Returns None where other
    shards are still missing or at work.
    """
    observer = observer or Silent()
    measure(prepared, prepared.parts, observer, shard=shard)
    return finished(unmeasured(prepared.folder, prepared.parts), lambda: trace(prepared, observer))


def trace(prepared: Prepared, observer: Observer | None = None) -> Trajectory:
    """Measure what is missing, and write `trajectory.json`, the picture and the page.

    Finished points are on the disk at any moment; the same call goes on where an interrupted one
    stopped. Raises RunMismatch where the folder holds another trajectory.
    """
    measure(prepared, prepared.parts, observer or Silent())
    parts = {part.name: part for part in prepared.parts}
    with RunFolder.reopen(prepared.folder / PLANE) as run:
        part = parts[PLANE]
        plane = summarise(run, part.judges, part.prompts.ids, prepared.config.scan.tolerance)
    found = Trajectory(
        folder=prepared.folder,
        base=prepared.base.name,
        prompts=plane.prompts,
        tolerance=prepared.config.scan.tolerance,
        axes=(part.planes[0].directions[0], part.planes[0].directions[1]),
        explained=prepared.explained,
        stations=_stations(prepared, parts[REAL], parts[PROJECTED]),
        plane=plane,
        notes=prepared.config.notes,
    )
    sealed.write(prepared.folder / TRAJECTORY, found.to_json())
    way = read_way(prepared.folder)
    figures = draw_trajectory(plane.surveys[plane.judge], way, folder=prepared.folder / "figures")
    page = write_page(prepared.folder / PAGE, [plane], study=way)
    return dataclasses.replace(found, figures=tuple(figures), page=page)


def _stations(prepared: Prepared, real: Part, projected: Part) -> tuple[Station, ...]:
    there = _surveys(prepared.folder, real, real.judges[0])
    here = _surveys(prepared.folder, projected, projected.judges[0])
    stations = []
    for checkpoint, projection, actual, drawn in zip(
        prepared.checkpoints, prepared.projections, there, here, strict=True
    ):
        gap = paired("gap", _broken(drawn), _broken(actual))
        there_asr, here_asr = (
            landscape.cell([0] * len(landscape.plane.axes)).asr for landscape in (actual, drawn)
        )
        stations.append(Station(checkpoint.name, projection, there_asr, here_asr, gap))
    return tuple(stations)


def _surveys(folder: Path, part: Part, judge: Judge) -> list[Landscape]:
    """The outcomes at each of the part's places, a landscape of one point each."""
    run = RunFolder.read(folder / part.name)
    verdicts: dict[Point, dict[str, Outcome | None]] = {
        point: {
            name: verdict.outcome
            for name, verdict in run.read_verdicts(judge.name, judge.spec(), point).items()
        }
        for plane in part.planes
        for point in plane.points
    }
    return [
        Landscape.from_verdicts(plane, judge.name, part.prompts.ids, verdicts)
        for plane in part.planes
    ]


def _broken(landscape: Landscape) -> list[bool | None]:
    """For each prompt whether the attack succeeded at the landscape's only point."""
    codes = landscape.outcomes.reshape(-1)
    judged = has_verdict(codes)
    return [
        bool(code != REFUSED) if known else None for code, known in zip(codes, judged, strict=True)
    ]
