"""The run folders of a study: prompts asked at the points of planes, by one engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.engines import Engine, Sampling
from safebasin.judges import Judge, Lexicon
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.prompts import PromptSet
from safebasin.reference import ask_everyday, settle
from safebasin.results import LEXICON, adopt, judge_point
from safebasin.run import RunFolder
from safebasin.run.folder import MANIFEST
from safebasin.run.manifest import Manifest, load_manifest, plane_to_json
from safebasin.scanner import Observer, by_missing


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
    engine: Engine,
    sampling: Sampling,
    lexicon: Lexicon,
    identity: Mapping[str, Any],
    config: Mapping[str, Any],
    observer: Observer,
    only: Collection[Point] | None = None,
) -> None:
    """Ask what the parts' run folders under `folder` do not hold yet, and judge it.

    `only` leaves out every other point. Every finished point is on the disk; the same call goes
    on where an interrupted one stopped. Raises RunMismatch where a folder holds the answers of
    other settings.
    """
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                _opened(folder / part.name, part, identity, config, lexicon, _rendered(engine))
            )
            for part in parts
        ]
        for part, run in zip(parts, runs, strict=True):
            adopt(run, part.judges)
            run.write_text(LEXICON, lexicon.text())
        missing = [
            {
                point: tuple(run.missing(point, part.prompts.ids))
                for point in outward(part.planes)
                if only is None or point in only
            }
            for part, run in zip(parts, runs, strict=True)
        ]
        wanted = sum(
            len(points) * len(part.prompts) for points, part in zip(missing, parts, strict=True)
        )
        absent = sum(len(ids) for points in missing for ids in points.values())
        observer.started(wanted, wanted - absent)
        for part, run, gaps in zip(parts, runs, missing, strict=True):
            prompts = {prompt.id: prompt for prompt in part.prompts}
            if any(gaps.values()):
                ask_everyday(run, (*part.judges, *part.readers), engine, sampling)
            for ids, points in by_missing(gaps):
                asked = [prompts[prompt_id] for prompt_id in ids]
                for point, exchanges in engine.answers(points, asked, sampling, observer.answered):
                    run.write_point(point, exchanges)
                    settle(run, part.prompts.ids)
                    judge_point(run, part.judges, point)
                    observer.finished(point)
            settle(run, part.prompts.ids)
            for point in gaps:
                judge_point(run, part.judges, point)


def _rendered(engine: Engine) -> dict[str, Any]:
    """What a prompt holds beside the request, of an engine that has a template to tell it by."""
    template = getattr(engine, "template", None)
    return {} if template is None else dict(template.rendered.to_json())


def _opened(
    path: Path,
    part: Part,
    identity: Mapping[str, Any],
    config: Mapping[str, Any],
    lexicon: Lexicon,
    rendered: Mapping[str, Any],
) -> RunFolder:
    """The run folder of a part, given the part's points where it holds a part of them only."""
    files = {LEXICON: lexicon.sha256}
    recorded = load_manifest(path / MANIFEST) if part.grows else None
    if recorded is None or not set(recorded.points) < set(outward(part.planes)):
        whole = replace(part.manifest(identity, config), files=files, rendered=rendered)
        return RunFolder.open(path, whole)
    begun = replace(part, planes=recorded.planes)
    whole = replace(begun.manifest(identity, config), files=files, rendered=rendered)
    run = RunFolder.open(path, whole)
    run.extend(part.planes)
    return run
