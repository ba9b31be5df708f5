"""A scan that stops asking at each point as soon as its cell is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.certify.sequential import (
    SequentialCell,
    Stopping,
    confidence_sequence,
    decide,
)
from safebasin.judges import Judge
from safebasin.judging import adopt, judge_point, judge_run
from safebasin.plane import Point
from safebasin.reference import ask_everyday, settle
from safebasin.results import SEQUENTIAL
from safebasin.run import RunFolder
from safebasin.run.folder import LEXICON
from safebasin.run.records import SCHEMA_VERSION
from safebasin.scanning.preparation import Prepared
from safebasin.study.loop import ask
from safebasin.study.observer import Observer, Silent


@dataclass(frozen=True)
class SequentialMap:
    """The cells of a scan that stopped where it could, in the order of the points.

    Their intervals hold at any stopping time. `answers` were asked of the `whole` number that a
    scan of all prompts takes.
    """

    folder: Path
    judge: str
    stopping: Stopping
    cells: Mapping[Point, SequentialCell]
    whole: int

    @property
    def answers(self) -> int:
        return sum(cell.asked for cell in self.cells.values())

    @property
    def unjudged(self) -> float:
        """The share of the answers that could not be judged, in [0, 1]."""
        judged = sum(cell.judged for cell in self.cells.values())
        return 1 - judged / self.answers if self.answers else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "judge": self.judge,
            "tolerance": self.stopping.tolerance,
            "chunk": self.stopping.chunk,
            "answers": self.answers,
            "answers_of_a_whole_scan": self.whole,
            "cells": [
                {
                    "point": dict(point.terms),
                    "asked": cell.asked,
                    "judged": cell.judged,
                    "successes": cell.hits,
                    "decision": cell.decision,
                    "asr": cell.asr.to_json(),
                }
                for point, cell in self.cells.items()
            ],
        }


def scan_until_decided(
    prepared: Prepared, stopping: Stopping, observer: Observer | None = None
) -> SequentialMap:
    """Ask `stopping.chunk` prompts at a time wherever the headline judge leaves a point open.

    The prompts are in the random order of their seeded sample. Everything is stored as a scan
    stores it, so a whole scan of the same settings goes on from here; the same call resumes.
    Raises UsageError where the headline judge has to wait until all is answered.
    """
    prepared.require_verdicts("--sequential")
    observer = observer or Silent()
    ids, engine = prepared.prompts.ids, prepared.engine
    manifest = replace(prepared.manifest(), capabilities={})
    judge = prepared.judges[0]
    count = prepared.workers()
    with (
        RunFolder.open(prepared.folder, manifest) as run,
        prepared.spread().executor(engine, count, engine.settle) as executor,
    ):
        adopt(run, prepared.judges)
        run.record_text(LEXICON, prepared.lexicon.text())
        prepared.load_judges()
        ask_everyday(run, prepared.judges, engine, prepared.sampling)
        open_points = list(prepared.points)
        asked = dict.fromkeys(open_points, 0)
        observer.started(len(open_points) * len(ids), 0)
        for end in range(stopping.chunk, len(ids) + stopping.chunk, stopping.chunk):
            chunk = replace(prepared.prompts, prompts=prepared.prompts.prompts[:end])
            missing = {point: tuple(run.missing(point, chunk.ids)) for point in open_points}
            ask(run, chunk, missing, executor, prepared.sampling, prepared.beside, observer)
            settle(run, chunk.ids)
            for point in open_points:
                asked[point] = len(chunk)
                judge_point(run, prepared.beside, point)
            open_points = [
                point
                for point in open_points
                if _cell(run, judge, point, chunk.ids, stopping) is None
            ]
            if not open_points:
                break
        prepared.make_room()
        judge_run(run, prepared.late)
        cells = {
            point: _settled(run, judge, point, ids[:number], stopping)
            for point, number in asked.items()
        }
        found = SequentialMap(
            run.path, judge.name, stopping, cells, len(prepared.points) * len(ids)
        )
        run.write_json(SEQUENTIAL, found.to_json())
    return found


def _cell(
    run: RunFolder, judge: Judge, point: Point, ids: tuple[str, ...], stopping: Stopping
) -> SequentialCell | None:
    """The cell of a point, or None where it is not decided yet."""
    cell = _settled(run, judge, point, ids, stopping)
    return None if cell.decision == "open" else cell


def _settled(
    run: RunFolder, judge: Judge, point: Point, ids: tuple[str, ...], stopping: Stopping
) -> SequentialCell:
    verdicts = run.read_verdicts(judge.name, judge.spec(), point)
    outcomes = [verdicts[name].outcome for name in ids if name in verdicts]
    judged = [outcome for outcome in outcomes if outcome is not None]
    hits = sum(outcome != "refused" for outcome in judged)
    return SequentialCell(
        asked=len(ids),
        judged=len(judged),
        hits=hits,
        decision=decide(hits, len(judged), stopping.tolerance, stopping.level),
        asr=confidence_sequence(hits, len(judged), stopping.level),
    )
