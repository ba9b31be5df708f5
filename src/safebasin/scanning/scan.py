"""The main job: ask the prompts at every point of the planes, keep each answer, draw the map."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from safebasin.engines.model_shape import most_positions
from safebasin.errors import EngineError, RunBusy
from safebasin.judging import adopt, judge_point, observed_asr
from safebasin.plane import Point
from safebasin.reference import ask_everyday, settle
from safebasin.results import ASSUMED, Result, summarise
from safebasin.run import RunFolder
from safebasin.run.folder import LEXICON
from safebasin.scanning.preparation import Prepared
from safebasin.spread.shards import Shard
from safebasin.study.loop import ask
from safebasin.study.observer import Observer, Silent
from safebasin.study.spread import prober_count
from safebasin.truncation import longer_limit, store_further, worth_asking_further

LOG = logging.getLogger(__name__)


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
    ids = prepared.prompts.ids
    adopt(run, prepared.judges)
    run.record_text(LEXICON, prepared.lexicon.text())
    missing = {point: tuple(run.missing(point, ids)) for point in points}
    wanted = len(missing) * len(ids)
    absent = sum(map(len, missing.values()))
    walk, headline = prepared.walk(), prepared.judges[0]
    if absent:
        prepared.load_judges()
        ask_everyday(run, prepared.judges, prepared.engine, prepared.sampling)
    observer.started(wanted, wanted - absent)  # after these, which no answer of the map waits for
    settle(run, ids)

    def judged(point: Point) -> None:
        if walk is not None:
            walk.record(point, observed_asr(run, headline, point))

    if walk is not None:
        for point in points:
            if not missing[point]:
                judge_point(run, prepared.beside, point)
                judged(point)
    if absent:
        engine = prepared.engine
        with prepared.spread().executor(
            engine, prepared.workers(absent), engine.settle
        ) as executor:
            ask(
                run, prepared.prompts, missing, executor, prepared.sampling, prepared.beside,
                observer, None if walk is None else walk.wanted, judged,
            )  # fmt: skip
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
        count = prober_count(prepared.config, prepared.engine.model, len(missing))
        with prepared.spread(probe.name).executor(probe, count) as executor:
            for point, items in executor.answers(missing, (), prepared.sampling):
                run.write_capability(probe.name, point, items)
                done += 1
                observer.capability(probe.name, done, len(points))
