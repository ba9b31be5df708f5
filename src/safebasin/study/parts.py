"""The run folders of a study: prompts asked at the points of planes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from safebasin.errors import RunBusy
from safebasin.judges import Judge
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.run import RunFolder
from safebasin.run.atomic import refuse_link
from safebasin.run.folder import MANIFEST
from safebasin.run.manifest import Manifest, load_manifest, plane_to_json
from safebasin.spread.shards import Shard

GROWING_SECONDS = 10.0
"""For how long a shard waits until another one has given a folder its points."""

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One run folder: a set of prompts, the planes where it is asked, and who judges it.

    `judges` is empty where answers are compared with expected ones, or judged later by `readers`.
    The folder of a part that `grows` may be given more points later; it then holds all of them as
    one run.
    """

    name: str
    prompts: PromptSet
    planes: tuple[Plane, ...]
    judges: tuple[Judge, ...] = ()
    grows: bool = False
    readers: tuple[Judge, ...] = ()

    def manifest(self, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Manifest:
        """What determines the answers: what the parts have in common, and the part's own."""
        own = {
            "planes": [plane_to_json(plane) for plane in self.planes],
            "prompts": {
                "name": self.prompts.name,
                "sha256": self.prompts.sha256,
                "revision": self.prompts.revision,
                **self.prompts.taken(),
            },
        }
        return Manifest({**identity, **own}, self.prompts.ids, config, content=self.prompts.content)

    def with_values(self, values: Collection[float]) -> Part:
        """The same line with these values beside its own."""
        [plane] = self.planes
        [axis] = plane.axes
        wider = tuple(sorted({*axis.values, *values}))
        return replace(self, planes=(Plane((Axis(axis.direction, wider),)),))

    def with_recorded(self, folder: Path) -> Part:
        """The same line with the values that its run folder under `folder` holds beside its own.

        Raises RunError where the folder is damaged.
        """
        recorded = load_manifest(folder / self.name / MANIFEST)
        names = self.planes[0].directions
        lines = () if recorded is None else recorded.planes
        own = [line.axes[0].values for line in lines if line.directions == names]
        return self.with_values({value for values in own for value in values})


def unmeasured(folder: Path, parts: Sequence[Part]) -> int:
    """How many answers the parts' run folders under `folder` do not hold yet."""
    absent = 0
    for part in parts:
        path, points = folder / part.name, outward(part.planes)
        refuse_link(path)
        if not (path / MANIFEST).exists():
            absent += len(points) * len(part.prompts)
            continue
        run = RunFolder.read(path)
        absent += sum(len(run.missing(point, part.prompts.ids)) for point in points)
    return absent


def finished(missing: int, finish: Callable[[], T]) -> T | None:
    """What a shard gives that may have been the last: the whole, or None where others are at work.

    `missing` answers are still to come, by other shards.
    """
    if missing:
        return None
    try:
        return finish()
    except RunBusy:
        return None


def share_of(
    missing: Sequence[Mapping[Point, tuple[str, ...]]], shard: Shard, before: int
) -> list[dict[Point, tuple[str, ...]]]:
    """The shard's points of each part, dealt out over all parts so that costs are even."""
    pieces = [(place, point) for place, points in enumerate(missing) for point in points]
    shares: list[dict[Point, tuple[str, ...]]] = [{} for _ in missing]
    for index in shard.indices(len(pieces), before):
        place, point = pieces[index]
        shares[place][point] = missing[place][point]
    return shares


def opened(
    path: Path, part: Part, made: Callable[[Part], Manifest], shard: Shard | None
) -> RunFolder:
    """The run folder of a part, given the part's points where it holds a part of them only.

    `made` gives the manifest of a part.
    """
    begun = _begun(path, part)
    if shard is not None:
        deadline = time.monotonic() + GROWING_SECONDS
        while begun is not None:
            try:
                with RunFolder.open(path, made(begun)) as run:
                    run.extend(part.planes)
            except RunBusy:
                # Another shard that began at the same moment may be adding the points right now.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            begun = _begun(path, part)
        return RunFolder.open(path, made(part), shard.name)
    run = RunFolder.open(path, made(begun or part))
    if begun is not None:
        run.extend(part.planes)
    return run


def _begun(path: Path, part: Part) -> Part | None:
    """The part as its run folder holds it, where that holds fewer points than it has to."""
    recorded = load_manifest(path / MANIFEST) if part.grows else None
    if recorded is None or not set(recorded.points) < set(outward(part.planes)):
        return None
    return replace(part, planes=recorded.planes)
