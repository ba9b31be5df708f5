"""Finer places along a path, until the basin's edge and its interval are known well enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safebasin.compare.settings import CompareConfig
from safebasin.landscape import Survey
from safebasin.landscape.path_length import path_edges
from safebasin.study.edge import path_survey
from safebasin.study.parts import Part

Ask = Callable[[Part, float], None]
"""Measures a path, given with all of its places, at one of them."""


def narrowed(folder: Path, even: Part, path: Part, config: CompareConfig, ask: Ask) -> Part:
    """Ask where the margin is decided and then, by halves, where the path leaves the basin.

    `even` holds the even steps and `path` these and what was recorded, all of them measured.
    Each place follows from the even steps and the finer ones before it, whatever else is there,
    so that the same comparison asks at the same places again. Returns the path with all places.
    """
    finer: list[float] = []

    def measure(path: Part, place: float) -> Part:
        finer.append(place)
        if place in path.planes[0].axes[0].values:
            return path
        path = path.with_values([place])
        ask(path, place)
        return path

    if (place := config.margin_place) is not None and place not in even.planes[0].axes[0].values:
        path = measure(path, place)
    for _ in range(config.refine):
        so_far = path_survey(folder, [even.with_values(finer)], even.judges[0])
        found = next_place(so_far, config.scan.tolerance, config.edge_tolerance)
        if found is None:
            break
        path = measure(path, found)
    return path


def next_place(survey: Survey, tolerance: float, edge_tolerance: float) -> float | None:
    """The middle of the stretch that holds the edge, else of one that holds an end of its interval.

    None where each is at most `edge_tolerance` long, and where the path begins outside the basin.
    """
    found = path_edges(survey, tolerance)
    if found.likely.inside is None:
        return None
    known = survey.plane.axes[0].values
    for stretch in (found.likely, found.earliest, found.latest):
        # A middle that is there already could not be judged.
        if stretch.width > edge_tolerance * (1 + 1e-9) and stretch.middle not in known:
            return stretch.middle
    return None
