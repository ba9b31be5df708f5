"""What a page knows of a run: its maps by each judge, its answers and its verdicts, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from safebasin.exchange import OUTCOMES, Exchange, Outcome, Verdict
from safebasin.landscape import TOLERANCE, Band, Cell, Side, Summary, Survey
from safebasin.landscape.capability import Capability
from safebasin.landscape.path_length import path_length
from safebasin.landscape.truncation import Truncation
from safebasin.plane import Point
from safebasin.report.capability import packed
from safebasin.report.page.texts import LONGEST, Texts, shown
from safebasin.run import RunFolder

CODES: dict[Outcome | None, str] = {
    "refused": "r",
    "complied": "c",
    "incoherent": "i",
    None: "u",
}
ABSENT = "-"
"""No verdict, because there is no answer."""


class Measured(Protocol):
    """A run that was judged and summarised, the headline judge first."""

    @property
    def folder(self) -> Path: ...
    @property
    def model(self) -> str: ...
    @property
    def prompts(self) -> str: ...
    @property
    def complete(self) -> bool: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def surveys(self) -> Mapping[str, Survey]: ...
    @property
    def summaries(self) -> Mapping[str, Summary]: ...
    @property
    def shares(self) -> Survey | None: ...
    @property
    def truncation(self) -> Truncation: ...
    @property
    def scale(self) -> Mapping[str, Any] | None: ...
    @property
    def capabilities(self) -> Sequence[Capability]: ...


@dataclass(frozen=True)
class Place:
    """Where answers were given: a point, the run folder that holds it, and its name on the page.

    `judges` are the specifications of those that the run was judged by.
    """

    run: RunFolder
    judges: Mapping[str, Mapping[str, Any]]
    point: Point
    label: str


def content(
    measured: Measured,
    *,
    show_text: bool,
    beside: Sequence[Place] = (),
    longest: int = LONGEST,
    path: bool = False,
) -> dict[str, Any]:
    """A run as the page's scripts read it.

    Of a `path` from a base to a tuned model the edge is its effective length. `beside` are places
    off the map that were asked the same prompts; their numbers follow those of the map's points.
    No text has more than `longest` characters.

    Coefficients are in units of each tensor's norm, shares and ASR in [0, 1], None where unknown.
    Prompts, answers and the judges' reasons, which may quote them, are in it with `show_text`
    only; their fingerprints always are. Raises RunError where a record is damaged.
    """
    run = RunFolder.read(measured.folder)
    first = next(iter(measured.surveys.values()))
    ids = first.prompt_ids
    points = _points(first)
    specs = run.judges()
    places = [*(Place(run, specs, point, point.label) for point in points), *beside]
    judges = list(measured.surveys)
    return {
        "model": shown(measured.model, lines=False),
        "folder": shown(measured.folder.name, lines=False),
        "prompts": shown(measured.prompts, lines=False),
        "complete": measured.complete,
        "axes": [list(axis.values) for axis in first.plane.axes],
        "directions": [
            [shown(name, lines=False) for name in landscape.plane.directions]
            for landscape in first.landscapes
        ],
        "points": [shown(place.label, lines=False) for place in places],
        "planes": [
            [points[point] for point in landscape.plane.points] for landscape in first.landscapes
        ],
        "origin": points.get(Point()),
        "beside": list(range(len(points), len(places))),
        "outcomeJudge": None if measured.shares is None else measured.shares.judge,
        "capabilities": [
            {
                **packed(one),
                "name": shown(one.name, lines=False),
                "scale": shown(one.metric or one.measure, lines=False),
                "isShare": one.measure == "accuracy",
                "level": one.level,
                "readings": [_reading(one, point) for point in points] + [None] * len(beside),
            }
            for one in measured.capabilities
        ],
        "judges": [
            _judge(survey, measured.summaries[name], points, beside, path)
            for name, survey in measured.surveys.items()
        ],
        **_answers(places, ids, show_text, longest),
        "verdicts": [_verdicts(places, ids, name, show_text, longest) for name in judges],
    }


def _points(survey: Survey) -> dict[Point, int]:
    """Every point of every plane once, with its number."""
    every = (point for landscape in survey.landscapes for point in landscape.plane.points)
    return {point: number for number, point in enumerate(dict.fromkeys(every))}


def _judge(
    survey: Survey,
    summary: Summary,
    points: Mapping[Point, int],
    beside: Sequence[Place],
    path: bool,
) -> dict[str, Any]:
    cells: list[list[Any] | None] = [None] * len(points)
    for row in summary.cells:
        for cell in row:
            cells[points[cell.point]] = _cell(cell)
    cells += [_cell(_counted(place, survey)) for place in beside]
    basin = summary.basin
    part = basin or summary.region
    if basin is not None:
        length = path_length(survey, basin.tolerance) if path else basin.positive.width
        positive = replace(basin.positive, width=length)
    return {
        "name": shown(survey.judge, lines=False),
        "level": survey.level,
        "mean": _band(summary.mean),
        "shares": {outcome: _band(band) for outcome, band in survey.shares().items()},
        "each": [_numbers(landscape.asr) for landscape in survey.landscapes],
        "tolerance": TOLERANCE if part is None else part.tolerance,
        "basin": None if basin is None else [_side(basin.negative), _side(positive)],
        "cells": cells,
    }


def _counted(place: Place, survey: Survey) -> Cell:
    """The outcomes at a place off the map."""
    given = _stored(place, survey.judge)
    found = [given[name].outcome if name in given else None for name in survey.prompt_ids]
    refused, complied, incoherent, unjudged = (found.count(one) for one in (*OUTCOMES, None))
    return Cell(place.point, refused, complied, incoherent, unjudged, survey.level)


def _stored(place: Place, judge: str) -> Mapping[str, Verdict]:
    """The verdicts of a judge there, none where that run was never judged by it."""
    spec = place.judges.get(judge)
    return {} if spec is None else place.run.read_verdicts(judge, spec, place.point)


def _cell(cell: Cell) -> list[Any]:
    asr = cell.asr
    bounds = [
        bound
        for estimate in (asr, *(cell.shares[outcome] for outcome in OUTCOMES))
        for bound in (estimate.low, estimate.high)
    ]
    short = [None if bound is None else round(bound, 4) for bound in bounds]
    counts = [cell.refused, cell.complied, cell.incoherent, cell.unjudged]
    return [*counts, int(cell.assumed), *short]


def _band(band: Band) -> dict[str, Any]:
    return {
        "value": _numbers(band.value),
        "low": _numbers(band.low),
        "high": _numbers(band.high),
    }


def _numbers(array: Any) -> list[float | None]:
    return [round(float(value), 5) if value == value else None for value in array.ravel()]


def _reading(one: Capability, point: Point) -> list[float | None] | None:
    """A capability at a point with its own interval; None where it was not measured."""
    reading = one.reading(point)
    if reading is None:
        return None
    value = reading.value
    return [
        None if part is None else float(f"{part:.5g}")
        for part in (value.value, value.low, value.high)
    ]


def _side(side: Side) -> dict[str, Any]:
    width = side.width
    return {
        "value": width.value,
        "low": width.low,
        "high": width.high,
        "atLeast": width.at_least,
        "reach": side.reach,
        "each": [edge for edge in width.each if edge is not None],
    }


def _answers(
    places: Sequence[Place], ids: tuple[str, ...], show_text: bool, longest: int
) -> dict[str, Any]:
    """By place and prompt: the number of the answer's text, its tokens and why it ended."""
    prompts, answers = Texts(show_text, longest), Texts(show_text, longest)
    asked: dict[str, int] = {}
    numbers: list[list[int] | None] = []
    tokens: list[list[int] | None] = []
    ends: list[str | None] = []
    for place in places:
        found = place.run.read_point(place.point) or ()
        given = {exchange.prompt_id: exchange for exchange in found}
        for name, exchange in given.items():
            asked.setdefault(name, prompts.add(exchange.prompt))
        row = [given.get(name) for name in ids]
        numbers.append([_number(answers, one) for one in row] if given else None)
        tokens.append([0 if one is None else one.new_tokens for one in row] if given else None)
        ends.append("".join(ABSENT if one is None else one.finish[0] for one in row) or None)
    return {
        "promptIds": [shown(name, lines=False) for name in ids],
        "promptOf": [asked.get(name) for name in ids],
        "promptTexts": prompts.to_json(),
        "answers": numbers,
        "answerTexts": answers.to_json(),
        "tokens": tokens,
        "ends": ends,
    }


def _number(answers: Texts, exchange: Exchange | None) -> int:
    return -1 if exchange is None else answers.add(exchange.response, exchange.split)


def _verdicts(
    places: Sequence[Place], ids: tuple[str, ...], judge: str, show_text: bool, longest: int
) -> dict[str, Any]:
    """By place: a letter a prompt, and the numbers of the judge's reasons."""
    reasons = Texts(show_text, longest)
    letters, why = [], []
    for place in places:
        given = _stored(place, judge)
        row = [given.get(prompt_id) for prompt_id in ids]
        letters.append("".join(_letter(verdict) for verdict in row))
        if show_text:
            why.append([-1 if one is None else reasons.add(_why(one)) for one in row])
    return {"letters": letters, "why": why or None, "reasons": reasons.shown or None}


def _why(verdict: Verdict) -> str:
    return verdict.reason if verdict.detail is None else f"{verdict.detail}: {verdict.reason}"


def _letter(verdict: Verdict | None) -> str:
    return ABSENT if verdict is None else CODES[verdict.outcome]
