"""The run folders of a study: prompts asked at the points of planes, by one engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.errors import RunBusy
from safebasin.judges import Judge, Lexicon
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.reference import ask_everyday, settle
from safebasin.results import LEXICON, adopt, judge_point
from safebasin.run import RunFolder
from safebasin.run.atomic import refuse_link, remove_study_leftovers
from safebasin.run.folder import MANIFEST
from safebasin.run.manifest import Manifest, load_manifest, plane_to_json
from safebasin.scanner import Observer, by_missing
from safebasin.spread.executor import Executor
from safebasin.spread.shards import Shard
from safebasin.spread.study import Spread, settle_way

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
                **self.prompts.order(),
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


def measure(
    folder: Path,
    parts: Sequence[Part],
    engine: AnyEngine,
    sampling: Sampling,
    lexicon: Lexicon,
    identity: Mapping[str, Any],
    config: Mapping[str, Any],
    observer: Observer,
    only: Collection[Point] | None = None,
    spread: Spread | None = None,
    shard: Shard | None = None,
    before: int = 0,
) -> None:
    """Ask what the parts' run folders under `folder` do not hold yet, and judge it.

    `only` leaves out every other point, and `shard` what other jobs ask; `before` points of the
    study were dealt to the shards already. `spread` says what answers; None for the engine itself.
    Every finished point is on the disk; the same call goes on where an interrupted one stopped.
    Raises RunMismatch where a folder holds the answers of other settings.
    """

    def made(part: Part) -> Manifest:
        whole = part.manifest(identity, config)
        return replace(whole, files={LEXICON: lexicon.sha256}, **_rendered(engine, part))

    for part in parts:
        refuse_link(folder / part.name)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(_opened(folder / part.name, part, made, shard)) for part in parts
        ]
        if shard is None:
            remove_study_leftovers(folder)
        for part, run in zip(parts, runs, strict=True):
            adopt(run, part.judges)
            run.record_text(LEXICON, lexicon.text())
        missing = [
            {
                point: tuple(run.missing(point, part.prompts.ids))
                for point in outward(part.planes)
                if only is None or point in only
            }
            for part, run in zip(parts, runs, strict=True)
        ]
        if shard is not None:
            missing = _share(missing, shard, before)
        wanted = sum(
            len(points) * len(part.prompts) for points, part in zip(missing, parts, strict=True)
        )
        absent = sum(len(ids) for points in missing for ids in points.values())
        observer.started(wanted, wanted - absent)
        executor: Executor = engine
        if spread is not None and absent:
            executor = stack.enter_context(spread.executor(engine, absent))
        for part, run, gaps in zip(parts, runs, missing, strict=True):
            prompts = {prompt.id: prompt for prompt in part.prompts}
            if any(gaps.values()):
                ask_everyday(run, (*part.judges, *part.readers), engine, sampling)
            for ids, points in by_missing(gaps):
                asked = [prompts[prompt_id] for prompt_id in ids]
                settle_way(executor, engine, points, asked, sampling)
                for point, exchanges in executor.answers(
                    points, asked, sampling, observer.answered
                ):
                    run.write_point(point, exchanges)
                    settle(run, part.prompts.ids)
                    judge_point(run, part.judges, point)
                    observer.finished(point)
            settle(run, part.prompts.ids)
            for point in gaps:
                judge_point(run, part.judges, point)


def _rendered(engine: object, part: Part) -> dict[str, Any]:
    """What the model sees of the prompts, of an engine that has a template to tell it by."""
    template = getattr(engine, "template", None)
    if template is None:
        return {}
    return {
        "rendered": dict(template.rendered.to_json()),
        "renderings": template.renderings(part.prompts),
    }


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


def _share(
    missing: Sequence[Mapping[Point, tuple[str, ...]]], shard: Shard, before: int
) -> list[dict[Point, tuple[str, ...]]]:
    """The shard's points of each part, dealt out over all parts so that costs are even."""
    pieces = [(place, point) for place, points in enumerate(missing) for point in points]
    shares: list[dict[Point, tuple[str, ...]]] = [{} for _ in missing]
    for index in shard.indices(len(pieces), before):
        place, point = pieces[index]
        shares[place][point] = missing[place][point]
    return shares


def _opened(
    path: Path,
    part: Part,
    made: Callable[[Part], Manifest],
    shard: Shard | None,
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
