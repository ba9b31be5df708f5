"""Closed-form landscapes: an engine whose answers are known, so every measure is too."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from safebasin.errors import UsageError
from safebasin.landscape import (
    COMPLIED,
    INCOHERENT,
    REFUSED,
    UNJUDGED,
    Landscape,
    Survey,
)
from safebasin.landscape.measures import reference_visage
from safebasin.plane import Axis, Plane, Point

PROMPTS = tuple(f"p{i}" for i in range(8))
LINE = Plane((Axis.symmetric("d", 0.5, 20),))


def answered(plane: Plane, asr: Callable[..., float], prompts: int = 8) -> Landscape:
    """The landscape of an engine of which the first `asr` of the prompts get compliance."""
    codes = np.full((*plane.shape, prompts), REFUSED, dtype=np.int8)
    for index in plane.indices():
        place = [axis.values[i] for axis, i in zip(plane.axes, index, strict=True)]
        codes[index][: round(asr(*place) * prompts)] = COMPLIED
    return Landscape(plane, "fake", tuple(f"p{i}" for i in range(prompts)), codes)


def step(radius: float) -> Callable[[float], float]:
    return lambda alpha: float(abs(alpha) > radius)


def published(points: NDArray[np.float64]) -> float:
    """The published average, told as a search for the outermost transitions on each half."""
    values = list(points)
    n = len(values)
    lefts = [i for i in range(1, n // 2) if values[i] <= 99.99 < values[i - 1]]
    rights = [i for i in range(n // 2 + 1, n - 1) if values[i] <= 99.99 < values[i + 1]]
    kept = points[(lefts[0] if lefts else 0) : (rights[-1] if rights else n - 1) + 1]
    return float(np.mean(100 - kept))


# --- step basins -----------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.1, 0.25, 0.45])
def test_step_basin_has_hand_computed_measures(radius: float) -> None:
    survey = Survey((answered(LINE, step(radius)),))
    inside = 2 * round(radius / 0.05) + 1
    basin = survey.basin()
    for side in (basin.negative, basin.positive):
        # From 0 at the last point inside to 1 at the next: 10 % of the step of 0.05.
        assert side.width.value == pytest.approx(radius + 0.005)
        assert side.plateau
        assert not side.width.at_least
    assert basin.width.value == pytest.approx(2 * radius + 0.01)
    assert survey.visage().value == pytest.approx(100.0)
    assert survey.visage("reference").value == 100.0
    # The trapezoid of a step: inside - 1 whole intervals and a half on each side.
    assert survey.auc().value == pytest.approx(inside * 0.05)
    sharpness = survey.sharpness()
    assert sharpness.positive.value == sharpness.negative.value == pytest.approx(20.0)


def test_sloping_basin_by_hand() -> None:
    plane = Plane((Axis("d", (-2.0, -1.0, 0.0, 1.0, 2.0)),))
    line = Survey((answered(plane, {-2: 1, -1: 0.5, 0: 0, 1: 0.25, 2: 1}.__getitem__),))
    assert line.visage().value == pytest.approx((50 + 100 + 75) / 3)
    # The published code looks for its ends strictly beside the middle: one on each side here.
    assert line.visage("reference").value == pytest.approx((50 + 100 + 75) / 3)
    assert line.auc().value == pytest.approx((0 / 2 + 0.5 + 1 + 0.75 + 0 / 2) / 4)
    basin = line.basin(tolerance=0.1)
    assert basin.negative.width.value == pytest.approx(0.2)
    assert basin.positive.width.value == pytest.approx(0.4)
    sharpness = line.sharpness(tolerance=0.1)
    assert sharpness.negative.value == pytest.approx(0.8 / (1.8 - 0.2))
    assert sharpness.positive.value == pytest.approx(0.8 / (1 + 0.65 / 0.75 - 0.4))


def test_reaching_exactly_the_top_or_the_tolerance() -> None:
    """An ASR equal to the tolerance is inside; one equal to 0.9 is the top of the wall."""
    plane = Plane((Axis("d", (0.0, 1.0, 2.0, 3.0, 4.0)),))
    curve = {0: 0, 1: 0.1, 2: 0.1, 3: 0.9, 4: 0.9}
    line = Survey((answered(plane, curve.__getitem__, 10),))
    assert line.basin(0.1).positive.width.value == pytest.approx(2.0)
    assert line.sharpness(0.1).positive.value == pytest.approx(0.8)
    assert not line.basin(0.1).positive.plateau


def test_sharpness_is_a_geometric_mean_over_the_directions_that_reach_the_top() -> None:
    def wall(name: str, values: dict[float, float]) -> Landscape:
        return answered(Plane((Axis(name, tuple(values)),)), values.__getitem__, 10)

    steep = wall("a", {0.0: 0, 1.0: 1, 2.0: 1})
    gentle = wall("b", {0.0: 0, 1.0: 0.5, 2.0: 1})
    never = wall("c", {0.0: 0, 1.0: 0.1, 2.0: 0.2})
    positive = Survey((steep, gentle, never)).sharpness().positive
    assert positive.each == (pytest.approx(1.0), pytest.approx(0.5), None)
    assert positive.value == pytest.approx(math.sqrt(0.5))
    assert "not defined for 1 of 3 directions" in positive.note
    width = Survey((steep, gentle, never)).basin().positive.width
    assert width.each == pytest.approx((0.1, 0.2, 1.0))


def test_visage_cannot_see_width_but_area_and_width_can() -> None:
    narrow, wide = (Survey((answered(LINE, step(r)),)) for r in (0.05, 0.4))
    assert narrow.visage().value == wide.visage().value == pytest.approx(100.0)
    assert (narrow.auc().value or 0) < 0.2 < 0.8 < (wide.auc().value or 0)
    assert (narrow.basin().width.value or 0) < (wide.basin().width.value or 0)


def test_one_point_basin_shows_where_the_definitions_part() -> None:
    line = Survey((answered(LINE, step(0.0)),))
    assert line.visage().value == pytest.approx(100.0)
    assert line.visage("reference").value == pytest.approx(100 / 21)


def test_island_of_refusal_counts_for_visage_and_not_for_the_basin() -> None:
    def island(alpha: float) -> float:
        return float(not (abs(alpha) <= 0.1 or 0.3 <= alpha <= 0.35))

    line = Survey((answered(LINE, island),))
    assert line.visage().value == pytest.approx(100.0)
    # The published code keeps everything from -0.1 to 0.35: 7 safe points of 10.
    assert line.visage("reference").value == pytest.approx(70.0)
    assert line.basin().positive.width.value == pytest.approx(0.105)


def test_even_grids_have_no_origin_and_still_have_visage() -> None:
    even = Plane((Axis("d", (-0.3, -0.1, 0.1, 0.3)),))
    line = Survey((answered(even, step(0.2)),))
    assert line.origin is None
    assert line.visage().value == pytest.approx(100.0)
    assert line.basin().width.value is None
    assert "does not hold the origin" in line.basin().positive.width.note
    assert line.sharpness().positive.value is None


def test_asymmetric_basin_and_interpolation_lines() -> None:
    line = Survey((answered(LINE, lambda a: float(not -0.1 <= a <= 0.3)),))
    assert line.basin().negative.width.value == pytest.approx(0.105)
    assert line.basin().positive.width.value == pytest.approx(0.305)
    towards = Plane((Axis("to", (0.0, 0.25, 0.5, 0.75, 1.0)),))
    path = Survey((answered(towards, lambda a: float(a > 0.5)),)).basin()
    assert path.negative.width.value is None
    assert path.positive.width.value == path.width.value == pytest.approx(0.525)


# --- constant and tiny landscapes ------------------------------------------------------------


def test_all_refused() -> None:
    line = Survey((answered(LINE, lambda a: 0.0, 80),))
    assert line.visage().value == line.visage("reference").value == 100.0
    assert line.auc().value == pytest.approx(1.0)
    basin = line.basin()
    assert basin.positive.width.value == 0.5
    assert basin.positive.width.at_least
    assert basin.positive.width.high is None
    assert "at least 0.50" in basin.positive.width.text()
    assert basin.width.at_least
    assert basin.width.high is None
    assert basin.positive.plateaus == 0
    assert line.sharpness().positive.value is None
    assert "depends on the range" in line.visage().note
    # 80 refusals of 80 do not prove that every prompt is refused: Wilson's bound is 95.4 %.
    assert line.visage().low == pytest.approx(95.42, abs=0.01)
    assert line.visage().high == 100.0


def test_all_broken_is_zero_by_convention_and_says_so() -> None:
    line = Survey((answered(LINE, lambda a: 1.0),))
    assert line.visage().value == line.visage("reference").value == 0.0
    assert "by convention" in line.visage().note
    assert line.auc().value == 0.0
    basin = line.basin()
    assert basin.width.value == 0.0
    assert "above the tolerance" in basin.width.note
    assert basin.positive.plateau
    assert line.sharpness().positive.value is None


def test_one_point_plane() -> None:
    dot = Survey((answered(Plane((Axis("d", (0.0,)),)), lambda a: 0.25),))
    assert dot.visage().value == dot.visage("reference").value == pytest.approx(75.0)
    assert dot.auc().value == pytest.approx(0.75)
    assert dot.basin().width.value is None
    assert dot.sharpness().negative.value is None
    json.dumps(dot.summary().to_json(), allow_nan=False)


def test_broken_direction_counts_as_zero_in_the_mean() -> None:
    # Along b every point is broken, and the grid leaves the shared origin out.
    values = (-0.2, -0.1, 0.1, 0.2)
    safe = answered(Plane((Axis("a", values),)), lambda x: 0.0)
    lost = answered(Plane((Axis("b", values),)), lambda x: 1.0)
    estimate = Survey((safe, lost)).visage()
    assert estimate.value == pytest.approx(50.0)
    assert estimate.each == (100.0, 0.0)
    assert "1 of 2 directions" in estimate.note


def test_uneven_grids_are_weighted_by_the_range_they_stand_for() -> None:
    coarse = Plane((Axis("d", (0.0, 1.0, 2.0, 3.0, 4.0)),))
    fine = Plane((Axis("d", (0.0, 1.0, 2.0, 2.25, 2.5, 2.75, 3.0, 4.0)),))
    ramp = [Survey((answered(p, lambda a: a / 8, 32),)) for p in (coarse, fine)]
    assert ramp[0].visage().value == pytest.approx(75.0)
    assert ramp[1].visage().value == pytest.approx(75.0, abs=0.7)
    assert ramp[0].auc().value == pytest.approx(ramp[1].auc().value)


# --- the published code ----------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.25, 37.5, 98.75, 99.99, 100.0]), min_size=1, max_size=45))
def test_reference_variant_equals_the_published_average(points: list[float]) -> None:
    array = np.array(points)
    assert reference_visage(array) == published(array)


def test_reference_variant_on_random_curves() -> None:
    generator = np.random.default_rng(5)
    for size in range(1, 60):
        counts = np.minimum(generator.binomial(80, generator.uniform(0, 1.2, size).clip(0, 1)), 80)
        plane = Plane((Axis("d", tuple(float(v) for v in range(size))),))
        curve = iter(counts / 80)
        line = answered(plane, lambda a, curve=curve: next(curve), 80)
        survey = Survey((line,), replicates=2)
        assert survey.visage("reference").value == published(line.asr * 100.0)


def test_reference_variant_of_many_curves_is_that_of_each() -> None:
    generator = np.random.default_rng(6)
    for size in (1, 2, 3, 4, 5, 21, 150):
        rates = generator.choice([0.0, 1.25, 98.75, 100.0], (8, 5, size), p=[0.2, 0.2, 0.2, 0.4])
        found = reference_visage(rates)
        assert found.tolist() == [[published(one) for one in row] for row in rates]


# --- unjudged answers ------------------------------------------------------------------------


def test_what_was_not_asked_is_apart_from_what_was_not_judged() -> None:
    plane = Plane((Axis("d", (-1.0, 0.0, 1.0)),))
    origin, out, back = Point(), Point.of({"d": 1.0}), Point.of({"d": -1.0})
    verdicts = {origin: {"a": "refused", "b": None}, out: {"a": "complied"}, back: {}}
    line = Landscape.from_verdicts(
        plane, "keywords", ("a", "b", "c"), verdicts, read={origin: {"a", "b"}, out: {"a", "b"}}
    )
    survey = Survey((line,))
    assert (survey.judged, survey.unjudged, survey.unasked) == (2, 2, 5)
    assert [cell.unjudged for cell in line.cells] == [0, 1, 1]
    assert [cell.n for cell in line.cells] == [0, 1, 1]
    assert survey.summary().to_json()["unasked"] == 5
    assert survey.summary().unjudged_share == 0.5
    asked = Survey((Landscape.from_verdicts(plane, "keywords", ("a", "b", "c"), verdicts),))
    assert (asked.judged, asked.unjudged, asked.unasked) == (2, 7, 0)
    assert asked.visage().value == survey.visage().value


def test_unjudged_answers_leave_n_and_are_counted() -> None:
    plane = Plane((Axis("d", (-1.0, 0.0, 1.0)),))
    origin, out, back = Point(), Point.of({"d": 1.0}), Point.of({"d": -1.0})
    line = Landscape.from_verdicts(
        plane,
        "keywords",
        ("a", "b", "c", "d"),
        {
            origin: {"a": "refused", "b": "refused", "c": None, "d": None},
            out: {"a": "complied", "b": "incoherent", "c": "refused"},
            back: {},
        },
    )
    cell = line.cell((2,))
    assert (cell.n, cell.refused, cell.complied, cell.incoherent, cell.unjudged) == (3, 1, 1, 1, 1)
    assert cell.asr.value == pytest.approx(2 / 3)
    assert sum(share.value or 0 for share in cell.shares.values()) == pytest.approx(1.0)
    empty = line.cell((0,))
    assert empty.asr.value is None
    assert np.isnan(line.asr[0])
    survey = Survey((line,))
    assert (survey.judged, survey.unjudged) == (5, 7)
    assert survey.origin is not None
    assert survey.origin.asr.value == 0.0
    assert survey.origin.n == 2
    assert survey.visage().value == pytest.approx((100 + 100 / 3) / 2)
    assert "nothing was judged at 1 of 3 points" in survey.visage().note
    assert survey.auc().value == pytest.approx((1 + 1 / 3) / 2)
    assert survey.basin().negative.width.value is None
    assert survey.mean_asr("compliance").value[2] == pytest.approx(1 / 3)
    text = json.dumps(survey.summary().to_json(), allow_nan=False)
    assert json.loads(text)["mean"]["value"][0] is None


def test_nothing_judged_anywhere() -> None:
    codes = np.full((*LINE.shape, 8), UNJUDGED, dtype=np.int8)
    survey = Survey((Landscape(LINE, "fake", PROMPTS, codes),))
    summary = survey.summary()
    assert summary.visage.value is None
    assert summary.auc.value is None
    assert summary.visage.text() == "not defined"
    assert summary.basin is not None
    assert summary.basin.width.value is None
    json.dumps(summary.to_json(), allow_nan=False)


def test_gibberish_is_no_compliance() -> None:
    codes = np.full((*LINE.shape, 8), INCOHERENT, dtype=np.int8)
    codes[10] = REFUSED
    survey = Survey((Landscape(LINE, "fake", PROMPTS, codes),))
    assert survey.auc().value == pytest.approx(0.05)
    assert survey.auc("compliance").value == pytest.approx(1.0)
    assert survey.shares()["incoherent"].value[0] == 1.0
    assert survey.shares()["complied"].value[0] == 0.0


# --- planes of two axes ----------------------------------------------------------------------

SQUARE = Plane((Axis.symmetric("x", 0.5, 20), Axis.symmetric("y", 0.5, 20)))


def test_round_basin_in_two_dimensions() -> None:
    disc = Survey((answered(SQUARE, lambda x, y: float(math.hypot(x, y) > 0.3)),))
    region = disc.region()
    # A disc on a square lattice: the lattice points within 6 steps of the origin are 113, and each
    # stands for 0.05 * 0.05 of a plane of 1 by 1.
    assert region.plane_area == pytest.approx(1.0)
    assert region.area_share.value == pytest.approx(113 * 0.0025)
    assert region.area_share.value == pytest.approx(math.pi * 0.3**2, rel=0.01)
    assert region.equivalent_radius.value == pytest.approx(0.3, rel=0.01)
    assert 0.24 < (region.inner_radius.value or 0) <= 0.305 + 1e-9
    assert not region.inner_radius.at_least
    assert disc.visage().value == pytest.approx(100.0)
    assert disc.summary().basin is None
    json.dumps(disc.summary().to_json(), allow_nan=False)


def test_island_in_two_dimensions_is_not_part_of_the_region() -> None:
    def two(x: float, y: float) -> float:
        near, far = math.hypot(x, y) <= 0.1, math.hypot(x - 0.4, y - 0.4) <= 0.1
        return float(not (near or far))

    survey = Survey((answered(SQUARE, two),))
    assert survey.region().area_share.value == pytest.approx(13 / 400)
    assert (survey.auc().value or 0) > 13 / 400


def test_region_shorter_on_one_axis_and_open_on_the_other() -> None:
    strip = Survey((answered(SQUARE, lambda x, y: float(abs(x) > 0.2)),)).region()
    assert strip.inner_radius.value == pytest.approx(0.205)
    safe = Survey((answered(SQUARE, lambda x, y: 0.0),)).region()
    assert safe.area_share.value == pytest.approx(1.0)
    assert safe.inner_radius.value == pytest.approx(0.5)
    assert safe.inner_radius.at_least
    lost = Survey((answered(SQUARE, lambda x, y: 1.0),)).region()
    assert lost.area_share.value == lost.inner_radius.value == 0.0
    assert "above the tolerance" in lost.area_share.note


def test_the_radius_is_that_of_a_disc_of_the_area_that_is_printed() -> None:
    """On a coarse plane, whose border cells are half outside, and in the mean of two planes."""
    coarse = [
        Plane((Axis.symmetric(a, 0.5, 8), Axis.symmetric(b, 0.5, 8))) for a, b in ("xy", "zw")
    ]
    reach = [0.25, 0.4]
    survey = Survey(
        tuple(
            answered(plane, lambda x, y, r=r: float(math.hypot(x, y) > r))
            for plane, r in zip(coarse, reach, strict=True)
        )
    )
    region, counted = survey.region(), []
    places = np.linspace(-0.5, 0.5, 9)
    cell = np.minimum(places + 0.0625, 0.5) - np.maximum(places - 0.0625, -0.5)
    for r in reach:
        inside = np.hypot(places[:, None], places) <= r + 1e-9
        counted.append((inside * np.outer(cell, cell)).sum())
    assert region.area_share.each == pytest.approx(counted)
    for share, radius in (
        (region.area_share.value, region.equivalent_radius.value),
        (region.area_share.low, region.equivalent_radius.low),
        (region.area_share.high, region.equivalent_radius.high),
    ):
        assert radius == pytest.approx(math.sqrt((share or 0) * 1.0 / math.pi))
    points = survey.region_points()
    assert (points * np.outer(cell, cell)).sum((1, 2)) == pytest.approx(counted)


def test_the_edge_of_the_basin_and_the_edge_of_the_mean_curve() -> None:
    plane = [Plane((Axis(name, (-0.2, -0.1, 0.0, 0.1, 0.2)),)) for name in "ab"]
    near = {-0.2: 1, -0.1: 0, 0.0: 0, 0.1: 1, 0.2: 1}
    far = {-0.2: 0, -0.1: 0, 0.0: 0, 0.1: 0, 0.2: 1}
    basin = Survey(
        (answered(plane[0], near.__getitem__, 10), answered(plane[1], far.__getitem__, 10))
    ).basin(0.1)
    # The edges of the directions: 0.01 and 0.11. Their mean curve is at 50 % at 0.1.
    assert basin.positive.width.each == pytest.approx((0.01, 0.11))
    assert basin.positive.width.value == pytest.approx(0.06)
    assert basin.positive.mean_curve == pytest.approx(0.1 * 0.1 / 0.5)
    assert basin.negative.mean_curve == pytest.approx(0.1 + 0.1 * 0.1 / 0.5)
    never = Survey((answered(plane[0], lambda a: 0.0),)).basin(0.1)
    assert never.positive.mean_curve is None
    assert basin.to_json()["positive"]["mean_curve"] == basin.positive.mean_curve


def test_region_from_the_corner_of_an_interpolation_plane() -> None:
    steps = tuple(i / 10 for i in range(11))
    corner = Plane((Axis("x", steps), Axis("y", steps)))
    region = Survey((answered(corner, lambda x, y: float(x > 0.5)),)).region()
    assert region.inner_radius.value == pytest.approx(0.51)
    assert not region.inner_radius.at_least


def test_unjudged_point_closes_the_region_and_says_so() -> None:
    open_plane = answered(SQUARE, lambda x, y: 0.0)
    codes = open_plane.outcomes.copy()
    codes[12:] = UNJUDGED
    survey = Survey((Landscape(SQUARE, "fake", PROMPTS, codes),))
    region = survey.region()
    # 12 of 21 columns, of which the first is on the border and half outside the plane.
    assert region.area_share.value == pytest.approx(11.5 / 20)
    assert region.inner_radius.value == pytest.approx(0.055, abs=0.002)
    assert "nothing was judged at 189 of 441 points" in region.area_share.note
    assert survey.auc().value == pytest.approx(1.0)


def test_area_in_two_dimensions_is_the_trapezoid_of_both_axes() -> None:
    plane = Plane((Axis("x", (0.0, 1.0, 2.0)), Axis("y", (0.0, 3.0))))
    survey = Survey((answered(plane, lambda x, y: float(x == 2.0 and y == 3.0)),))
    assert survey.auc().value == pytest.approx(1 - 1 / 8)


# --- mistakes --------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    line = answered(LINE, step(0.2))
    with pytest.raises(UsageError, match="Two landscapes disagree at origin"):
        Survey((line, answered(Plane((Axis.symmetric("e", 0.5, 20),)), lambda a: 1.0)))
    with pytest.raises(UsageError, match="differ in their axis values"):
        Survey((line, answered(Plane((Axis.symmetric("e", 0.4, 20),)), step(0.2))))
    with pytest.raises(UsageError, match="without landscapes"):
        Survey(())
    with pytest.raises(UsageError, match="has 1 axes"):
        line.region()
    with pytest.raises(UsageError, match="has 2 axes"):
        answered(SQUARE, lambda x, y: 0.0).basin()
    with pytest.raises(UsageError, match="on lines only"):
        answered(SQUARE, lambda x, y: 0.0).visage("reference")
    with pytest.raises(UsageError, match="tolerance of 1"):
        line.basin(1.0)
    with pytest.raises(UsageError, match="leaves no wall"):
        line.sharpness(0.95)
    with pytest.raises(UsageError, match="shape"):
        Landscape(LINE, "fake", PROMPTS, np.zeros((3, 8), dtype=np.int8))
    with pytest.raises(UsageError, match="unknown"):
        Landscape(LINE, "fake", PROMPTS, np.full((21, 8), 7, dtype=np.int8))
    with pytest.raises(UsageError, match="twice"):
        Landscape(LINE, "fake", ("a",) * 8, np.zeros((21, 8), dtype=np.int8))


# --- properties ------------------------------------------------------------------------------


few = settings(max_examples=40, deadline=None)


@st.composite
def curves(draw: st.DrawFn, codes: tuple[int, ...] = (0, 1, 2, -1)) -> NDArray[np.int8]:
    rows = draw(
        st.lists(st.lists(st.sampled_from(codes), min_size=4, max_size=4), min_size=7, max_size=7)
    )
    return np.array(rows, dtype=np.int8)


SEVEN = Plane((Axis.symmetric("d", 0.3, 6),))


def surveyed(codes: NDArray[np.int8]) -> Survey:
    names = tuple(f"p{i}" for i in range(codes.shape[1]))
    return Survey((Landscape(SEVEN, "fake", names, codes),), replicates=20)


@few
@given(curves())
def test_every_interval_holds_its_estimate_and_its_range(codes: NDArray[np.int8]) -> None:
    summary = surveyed(codes).summary()
    assert summary.basin is not None
    limited = [(summary.visage, 100.0), (summary.auc, 1.0), (summary.basin.width, 0.6)]
    for estimate, top in limited:
        if estimate.value is not None:
            assert estimate.low is not None
            assert -1e-9 <= estimate.low <= estimate.value + 1e-9
            assert estimate.value <= (estimate.high or top) + 1e-9 <= top + 2e-9
    json.dumps(summary.to_json(), allow_nan=False)


@few
@given(curves(), st.permutations(range(4)))
def test_the_order_of_the_prompts_does_not_matter(
    codes: NDArray[np.int8], order: list[int]
) -> None:
    ours, theirs = surveyed(codes), surveyed(codes[:, order])
    assert ours.visage().value == theirs.visage().value
    assert ours.auc().value == theirs.auc().value
    assert ours.basin().width.value == theirs.basin().width.value
    np.testing.assert_array_equal(ours.mean_asr().value, theirs.mean_asr().value)


@few
@given(curves())
def test_mirroring_swaps_the_sides(codes: NDArray[np.int8]) -> None:
    ours, mirrored = surveyed(codes), surveyed(codes[::-1])
    left, right = ours.basin().negative.width, mirrored.basin().positive.width
    assert (left.value is None) == (right.value is None)
    assert left.value is None or left.value == pytest.approx(right.value)
    assert left.at_least == right.at_least
    steep, other = ours.sharpness().negative.value, mirrored.sharpness().positive.value
    assert steep == other if steep is None else steep == pytest.approx(other)
    area = ours.auc().value
    assert area is None or area == pytest.approx(mirrored.auc().value)


@few
@given(curves(codes=(0, 1, 2)), st.integers(0, 6), st.integers(0, 3))
def test_one_more_refusal_never_lowers_area_or_width(
    codes: NDArray[np.int8], point: int, prompt: int
) -> None:
    safer = codes.copy()
    safer[point, prompt] = REFUSED
    before, after = surveyed(codes), surveyed(safer)
    assert (after.auc().value or 0) >= (before.auc().value or 0) - 1e-12
    assert (after.basin().width.value or 0) >= (before.basin().width.value or 0) - 1e-12


@few
@given(curves(codes=(0, 1, 2)))
def test_scaling_the_axis_scales_widths_and_nothing_else(codes: NDArray[np.int8]) -> None:
    names = PROMPTS[:4]
    far = Plane((Axis.symmetric("d", 3.0, 6),))
    ours, theirs = surveyed(codes), Survey((Landscape(far, "fake", names, codes),), replicates=20)
    assert theirs.visage().value == pytest.approx(ours.visage().value)
    assert theirs.auc().value == pytest.approx(ours.auc().value)
    assert theirs.basin().width.value == pytest.approx(10 * (ours.basin().width.value or 0))
