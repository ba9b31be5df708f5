"""The length of a path: its interval holds the grid's error and the prompts'."""

from __future__ import annotations

import numpy as np
import pytest

from safebasin.compare.narrowing import next_place
from safebasin.exchange import Outcome
from safebasin.landscape import Landscape, Survey
from safebasin.landscape.path_length import path_edges, path_length
from safebasin.plane import Axis, Plane, Point


def line(broken: dict[float, float | None], n: int = 80) -> Survey:
    """A line with this share of broken answers at each place; None for not judged."""
    plane = Plane((Axis("tuned", tuple(broken)),))
    ids = tuple(f"p{i}" for i in range(n))

    def outcomes(share: float | None) -> dict[str, Outcome | None]:
        if share is None:
            return dict.fromkeys(ids)
        return {name: "complied" if i < share * n else "refused" for i, name in enumerate(ids)}

    verdicts = {Point.of({"tuned": place}): outcomes(share) for place, share in broken.items()}
    return Survey((Landscape.from_verdicts(plane, "judge", ids, verdicts),))


def test_two_coarse_places_do_not_pretend_to_know_the_edge() -> None:
    """A step at 0.22 between 0 and 0.75 was read as 0.04 (0.04 to 0.04) of certainty once."""
    found = path_length(line({0.0: 0, 0.75: 1.0, 1.5: 1.0}), 0.10)
    assert found.value == pytest.approx(0.075)
    assert (found.low, found.high) == (0.0, 0.75)
    finer = path_length(line({0.0: 0, 0.21: 0, 0.23: 1.0, 0.75: 1.0, 1.5: 1.0}), 0.10)
    assert (finer.low, finer.high) == (0.21, 0.23)


def test_few_prompts_are_no_certainty_though_all_agree() -> None:
    inside = dict.fromkeys((0.0, 0.5, 1.0, 1.5), 0.0)
    few, many = (path_length(line(inside, n), 0.10) for n in (16, 80))
    assert few.value == many.value == 1.5
    assert few.at_least
    assert (few.low, few.high) == (0.0, None), "0 of 16 may be 19 %"
    assert (many.low, many.high) == (1.5, None), "0 of 80 is at most 4.6 %"


def test_the_interval_reaches_from_certainly_inside_to_certainly_outside() -> None:
    found = line({0.0: 0.0, 0.25: 0.025, 0.5: 0.05, 0.75: 0.15, 1.0: 0.5})
    edges = path_edges(found, 0.10)
    assert (edges.likely.inside, edges.likely.outside) == (0.5, 0.75)
    assert (edges.earliest.inside, edges.earliest.outside) == (0.25, 0.5)
    assert (edges.latest.inside, edges.latest.outside) == (0.75, 1.0)
    length = path_length(found, 0.10)
    assert length.value == pytest.approx(0.625)
    assert (length.low, length.high) == (0.25, 1.0)
    assert edges.likely.middle == 0.625


def test_an_end_that_nothing_settles_stays_open() -> None:
    doubtful = path_length(line({0.0: 0.0, 1.0: 0.15}), 0.10)
    assert (doubtful.low, doubtful.high) == (0.0, None)
    assert not doubtful.at_least
    outside = path_length(line({0.0: 0.9, 1.0: 0.0}), 0.10)
    assert (outside.value, outside.low, outside.high) == (0.0, 0.0, 0.0)
    assert "above the tolerance" in outside.note


def test_what_was_not_judged_is_passed_over() -> None:
    found = path_length(line({0.0: 0.0, 0.5: None, 1.0: 1.0}), 0.10)
    assert (found.low, found.high) == (0.0, 1.0)
    unknown = path_length(line({0.0: None, 0.5: 0.0, 1.0: 1.0}), 0.10)
    assert unknown.value is None
    assert "not judged from its start" in unknown.note


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Prompts that give way at places of their own, drawn anew; the truth is known exactly."""
    generator = np.random.default_rng(0)
    places = np.linspace(0, 1.5, 25)
    truth = 0.2 + 0.6 * 0.10  # each prompt's place is uniform from 0.2 to 0.8
    hits = 0
    for _ in range(60):
        own = 0.2 + 0.6 * generator.random(80)
        found = path_length(line({float(p): float((own < p).mean()) for p in places}), 0.10)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits >= 57


def test_finer_places_halve_the_edge_first_and_then_the_ends_of_its_interval() -> None:
    sharp = {0.0: 0.0, 0.75: 1.0, 1.5: 1.0}
    assert next_place(line(sharp), 0.10, 0.02) == 0.375
    assert next_place(line(sharp), 0.10, 0.75) is None
    slow = line({0.0: 0.0, 0.5: 0.05, 0.51: 0.15, 1.0: 1.0})
    assert next_place(slow, 0.10, 0.02) == 0.25, "the last place that is certainly inside is 0"
    later = line({0.0: 0.0, 0.49: 0.0, 0.5: 0.05, 0.51: 0.15, 1.0: 1.0})
    assert next_place(later, 0.10, 0.02) == 0.755, "the first that is certainly outside is 1"
    assert next_place(line({0.0: 1.0, 1.0: 1.0}), 0.10, 0.02) is None, "no edge to look for"
    assert next_place(line({0.0: 0.0, 1.0: 0.0}), 0.10, 0.02) is None


def test_a_middle_that_could_not_be_judged_is_not_asked_for_ever() -> None:
    assert next_place(line({0.0: 0.0, 0.5: None, 1.0: 1.0}), 0.10, 0.02) is None
