"""What was measured along one direction, over its run folders, and a finer look at its edge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from safebasin.exchange import Outcome
from safebasin.judges import Judge
from safebasin.landscape import Landscape, Survey
from safebasin.plane import Axis, Plane, Point
from safebasin.run import RunFolder
from safebasin.study.parts import Part


def path_survey(folder: Path, parts: Sequence[Part], judge: Judge) -> Survey:
    """What a judge's verdicts say along one direction, the points of all parts together."""
    verdicts: dict[Point, dict[str, Outcome | None]] = {}
    values: set[float] = set()
    direction = parts[0].planes[0].directions[0]
    for part in parts:
        [plane] = part.planes
        values.update(plane.axes[0].values)
        run = RunFolder.read(folder / part.name)
        for point in plane.points:
            found = run.read_verdicts(judge.name, judge.spec(), point)
            verdicts[point] = {name: verdict.outcome for name, verdict in found.items()}
    plane = Plane((Axis(direction, tuple(sorted(values))),))
    ids = parts[0].prompts.ids
    return Survey((Landscape.from_verdicts(plane, judge.name, ids, verdicts),))


def edge_values(survey: Survey, tolerance: float, count: int, side: int = 1) -> tuple[float, ...]:
    """`count` even places between the last point inside the basin and the first outside, above the
    origin or with `side` -1 below; none where the line ends inside, or begins outside.
    """
    [landscape] = survey.landscapes
    [axis] = landscape.plane.axes
    places, asr = side * np.array(axis.values), landscape.asr
    order = np.flatnonzero((places >= 0) & np.isfinite(asr))
    order = order[np.argsort(places[order])]
    outside = np.flatnonzero(asr[order] > tolerance)
    if not len(outside) or outside[0] == 0 or count < 1:
        return ()
    last, first = places[order[outside[0] - 1]], places[order[outside[0]]]
    finer = np.linspace(last, first, count + 2)[1:-1]
    return tuple(sorted(round(side * float(value), 12) for value in finer))


def edge_part(
    name: str, path: Part, survey: Survey, tolerance: float, count: int, side: int = 1
) -> Part | None:
    """The same prompts at the places of `edge_values`; None where there are none."""
    values = edge_values(survey, tolerance, count, side)
    if not values:
        return None
    [axis] = path.planes[0].axes
    return Part(name, path.prompts, (Plane((Axis(axis.direction, values),)),), path.judges)
