"""The one loop: ask what run folders do not hold yet, store each point, and have it judged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from safebasin.engines import Sampling, Wanted
from safebasin.exchange import Exchange
from safebasin.judges import Judge
from safebasin.judging import adopt, judge_point
from safebasin.plane import Point, outward
from safebasin.prompts import PromptSet
from safebasin.reference import ask_everyday, settle
from safebasin.run import RunFolder
from safebasin.run.atomic import refuse_link, remove_study_leftovers
from safebasin.run.folder import LEXICON
from safebasin.run.manifest import Manifest
from safebasin.spread.executor import Executor
from safebasin.spread.shards import Shard
from safebasin.study.observer import Observer
from safebasin.study.parts import Part, opened, share_of
from safebasin.study.spread import worker_count
from safebasin.study.work import Work

Missing = Mapping[Point, tuple[str, ...]]
"""By point, the prompts whose answers a run folder lacks."""


def measure(
    work: Work[Any],
    parts: Sequence[Part],
    observer: Observer,
    only: Collection[Point] | None = None,
    shard: Shard | None = None,
    before: int = 0,
) -> None:
    """Ask what the parts' run folders do not hold yet, and judge it.

    `only` leaves out every other point, and `shard` what other jobs ask; `before` points of the
    study were dealt to the shards already. Every finished point is on the disk; the same call goes
    on where an interrupted one stopped. Raises RunMismatch where a folder holds the answers of
    other settings.
    """
    engine, template = work.engine, work.engine.template

    def made(part: Part) -> Manifest:
        return replace(
            part.manifest(work.identity, work.config.to_json()),
            files={LEXICON: work.lexicon.sha256},
            rendered=dict(template.rendered.to_json()),
            renderings=template.renderings(part.prompts),
        )

    for part in parts:
        refuse_link(work.folder / part.name)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(opened(work.folder / part.name, part, made, shard))
            for part in parts
        ]
        if shard is None:
            remove_study_leftovers(work.folder)
        missing: list[dict[Point, tuple[str, ...]]] = []
        for part, run in zip(parts, runs, strict=True):
            adopt(run, part.judges)
            run.record_text(LEXICON, work.lexicon.text())
            points = [point for point in outward(part.planes) if only is None or point in only]
            missing.append({point: tuple(run.missing(point, part.prompts.ids)) for point in points})
        if shard is not None:
            missing = share_of(missing, shard, before)
        wanted = sum(
            len(gaps) * len(part.prompts) for gaps, part in zip(missing, parts, strict=True)
        )
        absent = sum(len(ids) for gaps in missing for ids in gaps.values())
        observer.started(wanted, wanted - absent)
        executor: Executor[Exchange] = engine
        if absent:
            count = worker_count(work.config.scan, engine, lambda: absent)
            executor = stack.enter_context(work.spread.executor(engine, count, engine.settle))
        for part, run, gaps in zip(parts, runs, missing, strict=True):
            if any(gaps.values()):
                ask_everyday(run, (*part.judges, *part.readers), engine, work.sampling)
            ask(run, part.prompts, gaps, executor, work.sampling, part.judges, observer)
            settle(run, part.prompts.ids)
            for point in gaps:
                judge_point(run, part.judges, point)


def ask(
    run: RunFolder,
    prompts: PromptSet,
    missing: Missing,
    executor: Executor[Exchange],
    sampling: Sampling,
    judges: Sequence[Judge],
    observer: Observer,
    wanted: Wanted | None = None,
    judged: Callable[[Point], None] = lambda point: None,
) -> None:
    """Ask what is missing; each complete point is stored and judged.

    A point that is no longer `wanted` is given up. `judged` is told of those that the judges read.
    """
    known = {prompt.id: prompt for prompt in prompts}
    answered: list[Point] = []
    for absent, points in by_missing(missing):
        asked = [known[prompt_id] for prompt_id in absent]
        for point, exchanges in executor.answers(
            points, asked, sampling, observer.answered, wanted
        ):
            if wanted is not None and not wanted(point):
                continue
            run.write_point(point, exchanges)
            answered.append(point)
            # With the undisplaced answers the judges that waited for them read what came before.
            for each in answered if settle(run, prompts.ids) else (point,):
                judge_point(run, judges, each)
                judged(each)
            observer.finished(point)


def by_missing(missing: Missing) -> Iterator[tuple[tuple[str, ...], list[Point]]]:
    """Group the points that lack the same prompts, so that an engine can take them together."""
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point, ids in missing.items():
        if ids:
            groups.setdefault(ids, []).append(point)
    yield from groups.items()
