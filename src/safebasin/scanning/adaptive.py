"""A scan that places its points itself: a coarse line first, then wherever an edge is not known.

All lines of a survey have the same values, so a point is placed for every direction at once, and
one that halves the doubt about several edges serves them all. The run folder grows: its manifest
holds the planes of what is measured or about to be, and values are added to them round by round.
A fixed fine grid of which few points are measured would look like a scan that was interrupted,
and its gaps would count as not judged; so the folder of an adaptive scan is a complete, ordinary
run on an uneven grid at any time between two rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from safebasin.engines.clock import settle_day
from safebasin.errors import EngineError, UsageError
from safebasin.judging import judge_point
from safebasin.landscape import Survey
from safebasin.plane import Axis, Plane, Point
from safebasin.results import Result, summarise, survey
from safebasin.run import RunFolder
from safebasin.run.manifest import load_manifest, plane_to_json
from safebasin.run.names import default_folder
from safebasin.run.records import SCHEMA_VERSION
from safebasin.scanning.preparation import Prepared, whole
from safebasin.scanning.scan import measure
from safebasin.scanning.scout import Scout, judged_answers
from safebasin.study.observer import Observer, Silent

ADAPTIVE = "adaptive.json"
GRID = "adaptive"
"""What the identity of an adaptive run says of its grid."""

SHARE = 20
"""The tolerance of an edge is the radius over this where none is given: half a default step."""

Scores = Callable[[str, float], float]
"""The first-token score at a coefficient along a direction; nan where there is none."""


@dataclass(frozen=True)
class Edge:
    """Where one side of one line leaves the basin: between two neighbouring points.

    `inner` and `outer` are coefficients: the last point with asr <= tolerance before the first one
    above it, and that one. `outer` is None where the side stays inside up to its end, `inner`
    where the origin itself is above the tolerance.
    """

    direction: str
    side: int
    inner: float | None
    outer: float | None

    @property
    def doubt(self) -> float:
        """The length of the stretch that holds the edge; 0 where there is none to look for."""
        if self.inner is None or self.outer is None:
            return 0.0
        return abs(self.outer - self.inner)

    def to_json(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "side": self.side,
            "inner": self.inner,
            "outer": self.outer,
        }


@dataclass(frozen=True)
class Adaptive:
    """An adaptive scan: the run's result, and how well its edges are known.

    `placed_by` says what placed the points: "score and ASR", "ASR" where the model has no score,
    or "the coarse line alone". `most` is how many values a line may have.
    """

    result: Result
    edges: tuple[Edge, ...]
    edge_tolerance: float
    values: int
    most: int
    placed_by: str

    @property
    def open_edges(self) -> tuple[Edge, ...]:
        """The edges that are not known to the tolerance, since the points were used up."""
        return tuple(edge for edge in self.edges if is_open(edge, self.edge_tolerance))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "judge": self.result.judge,
            "edge_tolerance": self.edge_tolerance,
            "values": self.values,
            "most_values": self.most,
            "placed_by": self.placed_by,
            "known": not self.open_edges,
            "edges": [edge.to_json() for edge in self.edges],
        }


def coarse_steps(steps: int) -> int:
    """The steps of the coarse line: half of those allowed, an even number, at least 2."""
    return max(2, steps // 2 - steps // 2 % 2)


def adapted(prepared: Prepared) -> Prepared:
    """The scan with the coarse lines in place of the whole ones, or with those its folder holds.

    Raises UsageError for what cannot be refined: planes, a walk that leaves points out, and
    a headline judge that has to wait until all is answered.
    """
    config = prepared.config
    if config.axes != 1:
        raise UsageError("Only lines can be refined.", "Leave out --adaptive, or give --axes 1.")
    if config.stop_at_plateau:
        raise UsageError(
            "An adaptive scan places its points itself and leaves none out.",
            "Give either --adaptive or --stop-at-plateau.",
        )
    if config.shard is not None:
        raise UsageError(
            "The points of an adaptive scan follow from one another and cannot be split.",
            "Give either --adaptive or --shard.",
        )
    if config.steps < 2:
        raise UsageError("A line without steps has no edge.", "Give --steps of at least 2.")
    prepared.require_verdicts("--adaptive")
    axis = Axis.symmetric("", config.radius, coarse_steps(config.steps))
    planes = lines(config.direction_names, axis.values)
    own = {"grid": GRID, "planes": [plane_to_json(plane) for plane in planes]}
    identity, folder = prepared.determining | own, prepared.out
    if folder is None or config.out is None:
        folder = default_folder(prepared.checkpoint.name, whole(identity, prepared.checkpoint))
        template = prepared.engine.template
        identity = settle_day(identity, folder, config.date, template.clock, template.source)
    recorded = load_manifest(folder / "manifest.json")
    if recorded is not None and recorded.identity.get("grid") == GRID:
        grown = recorded.planes
        same = [plane.directions for plane in grown] == [plane.directions for plane in planes]
        if same and set(grown[0].points) >= set(planes[0].points):
            planes = grown
    return _with_planes(replace(prepared, determining=identity, out=folder), planes)


def scan_adaptively(
    prepared: Prepared, edge_tolerance: float | None = None, observer: Observer | None = None
) -> Adaptive:
    """Measure a coarse line, then points that narrow the edges, until each is known.

    An edge is known where its neighbouring points are at most `edge_tolerance` apart (None for
    a twentieth of the radius). A line gets at most config.steps + 1 values. The same call resumes;
    with a finer tolerance or more steps it goes on from what is there.
    """
    config, observer = prepared.config, observer or Silent()
    tolerance = config.radius / SHARE if edge_tolerance is None else edge_tolerance
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise UsageError(
            f"The tolerance of the edges is {tolerance}.",
            "Give a positive number, such as --edge-tolerance 0.02.",
        )
    grain = grain_of(config.radius, config.steps, tolerance)
    prepared = adapted(prepared)
    headline = prepared.judges[0]
    with RunFolder.open(prepared.folder, prepared.manifest()) as run:
        new, scores = prepared.points, None
        placed_by = str((run.read_json(ADAPTIVE) or {}).get("placed_by", "the coarse line alone"))
        while True:
            measure(run, prepared, new, observer)
            for point in new:
                judge_point(run, prepared.beside, point)
            found = edges(survey(run, headline, prepared.prompts.ids), config.tolerance)
            if not any(is_open(edge, tolerance) for edge in found):
                break
            if scores is None:
                scores, placed_by = _scores(run, prepared)
                # Known even if the scan is interrupted and only finished later.
                run.write_json(ADAPTIVE, {"placed_by": placed_by})
            values = prepared.planes[0].axes[0].values
            places = next_values(found, values, config.steps + 1, tolerance, grain, scores)
            if not places:
                break
            before = set(prepared.points)
            wider = lines(config.direction_names, sorted({*values, *places}))
            run.extend(wider)
            prepared = _with_planes(prepared, wider)
            new = tuple(point for point in prepared.points if point not in before)
        prepared.make_room()
        result = summarise(run, prepared.judges, prepared.prompts.ids, config.tolerance)
        scanned = Adaptive(
            result,
            tuple(found),
            tolerance,
            len(prepared.planes[0].axes[0].values),
            config.steps + 1,
            placed_by,
        )
        run.write_json(ADAPTIVE, scanned.to_json())
    return scanned


def edges(found: Survey, tolerance: float) -> list[Edge]:
    """Both edges of every line. Points where nothing was judged are passed over."""
    result = []
    for landscape in found.landscapes:
        [axis] = landscape.plane.axes
        judged = [(v, float(a)) for v, a in zip(axis.values, landscape.asr, strict=True) if a == a]
        for side in (-1, 1):
            outward = sorted((pair for pair in judged if side * pair[0] >= 0), key=_size)
            result.append(_edge(axis.direction, side, outward, tolerance))
    return result


def _edge(
    direction: str, side: int, outward: Sequence[tuple[float, float]], tolerance: float
) -> Edge:
    """The edge among (coefficient, asr) of one side, the origin first."""
    inner = None
    for value, asr in outward:
        if asr > tolerance:
            return Edge(direction, side, inner, value)
        inner = value
    return Edge(direction, side, inner, None)


def is_open(edge: Edge, tolerance: float) -> bool:
    """Whether an edge is there and not known to the tolerance yet."""
    return edge.doubt > tolerance * (1 + 1e-9)


def next_values(
    found: Sequence[Edge],
    values: Sequence[float],
    most: int,
    edge_tolerance: float,
    grain: float,
    scores: Scores,
) -> list[float]:
    """One value for each open edge, the least known first; none where the line is full.

    A value that falls into the middle half of another edge's stretch serves that one too.
    """
    chosen: list[float] = []
    for edge in sorted(found, key=lambda edge: -edge.doubt):
        if not is_open(edge, edge_tolerance) or edge.inner is None or edge.outer is None:
            continue
        if len(values) + len(chosen) >= most:
            break
        middle, quarter = (edge.inner + edge.outer) / 2, edge.doubt / 4
        if any(abs(value - middle) <= quarter * (1 + 1e-9) for value in chosen):
            continue
        value = place(edge, grain, partial(scores, edge.direction))
        # A point between its neighbours that could not be judged is there already.
        if value not in values and value not in chosen:
            chosen.append(value)
    return chosen


def place(edge: Edge, grain: float, score: Callable[[float], float]) -> float:
    """Where to cut the stretch of an edge: where the score is half-way between both ends.

    The score is smooth where asr is a step, so halving it is a better guess than halving the
    stretch, and as safe: a cut leaves about three quarters of the stretch at most. Where the
    score says nothing it is the middle. Cuts are whole grains away from both ends.
    """
    inner, outer = edge.inner, edge.outer
    if inner is None or outer is None:
        raise ValueError("an edge that was not found has no stretch to cut")
    parts = max(2, round(edge.doubt / grain))

    def at(part: int) -> float:
        return float(round(inner + (outer - inner) * part / parts, 12))

    start, end = score(inner), score(outer)
    if not (math.isfinite(start) and math.isfinite(end)) or start == end:
        return at(parts // 2)
    inside, outside = 0, parts
    while outside - inside > 1:
        middle = (inside + outside) // 2
        passed = (score(at(middle)) - start) / (end - start)
        if not math.isfinite(passed):
            return at(parts // 2)
        inside, outside = (inside, middle) if passed > 0.5 else (middle, outside)
    nearest = min(inside, outside, key=lambda part: abs(part - parts / 2))
    quarter = max(1, parts // 4)
    return at(min(max(nearest, quarter), parts - quarter))


def grain_of(radius: float, steps: int, tolerance: float) -> float:
    """The coarse line's step halved until it is at most the tolerance of the edges."""
    step = 2 * radius / coarse_steps(steps)
    halvings = max(0, math.ceil(math.log2(step / tolerance) - 1e-9))
    return math.ldexp(step, -halvings)


def lines(directions: Sequence[str], values: Sequence[float]) -> tuple[Plane, ...]:
    """A line of these values along each direction."""
    return tuple(Plane((Axis(name, tuple(values)),)) for name in directions)


def _size(pair: tuple[float, float]) -> float:
    return abs(pair[0])


def _with_planes(prepared: Prepared, planes: tuple[Plane, ...]) -> Prepared:
    identity = prepared.determining | {"planes": [plane_to_json(plane) for plane in planes]}
    return replace(prepared, planes=planes, determining=identity)


def _scores(run: RunFolder, prepared: Prepared) -> tuple[Scores, str]:
    """The score by openers learnt from the origin's stored answers, and what places the points."""
    judge = prepared.judges[0]
    exchanges = run.read_point(Point()) or []
    given = run.read_verdicts(judge.name, judge.spec(), Point())
    judged = [exchange for exchange in exchanges if exchange.prompt_id in given]
    try:
        answers = judged_answers(judged, [given[exchange.prompt_id] for exchange in judged])
        scout = Scout.of(prepared, answers)
    except EngineError:
        # Some tokenizers open refusals and compliance alike, some models think first, and some
        # engines give no probabilities: the ASR alone then places the points.
        return lambda direction, value: math.nan, "ASR"
    return lambda direction, value: scout.score(Point.of({direction: value})), "score and ASR"
