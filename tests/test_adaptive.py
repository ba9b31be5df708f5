"""Scans that place their points themselves: where, how many, and what the run folder holds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from safebasin.config import ScanConfig
from safebasin.errors import RunMismatch, UsageError
from safebasin.landscape import UNJUDGED, Landscape, Survey
from safebasin.plane import Axis, Plane, Point
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.run.verify import verify
from safebasin.scanning import adaptive
from safebasin.scanning.adaptive import (
    ADAPTIVE,
    Edge,
    Scores,
    adapted,
    coarse_steps,
    edges,
    grain_of,
    is_open,
    lines,
    next_values,
    place,
    scan_adaptively,
)
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study.observer import Silent
from support import pico, planted

PROMPTS = 20


def silent(direction: str, value: float) -> float:
    return math.nan


def survey_of(asr: Callable[[str, float], float], values: Sequence[float]) -> Survey:
    """Lines along a and b with this ASR."""
    parts = []
    for plane in lines(("a", "b"), values):
        [axis] = plane.axes
        outcomes = np.zeros((len(values), PROMPTS), dtype=np.int8)
        for row, value in zip(outcomes, values, strict=True):
            row[: round(PROMPTS * asr(axis.direction, value))] = 1
        parts.append(Landscape(plane, "j", tuple(map(str, range(PROMPTS))), outcomes))
    return Survey(tuple(parts), replicates=2)


def searched(
    asr: Callable[[str, float], float], scores: Scores, tolerance: float, most: int = 1000
) -> tuple[list[float], list[Edge]]:
    """The values that are placed, one round after the other, and the edges they leave."""
    values = list(Axis.symmetric("", 0.5, 10).values)
    grain = grain_of(0.5, 20, tolerance)
    while True:
        found = edges(survey_of(asr, values), 0.1)
        new = next_values(found, values, most, tolerance, grain, scores)
        if not new:
            return values, found
        values = sorted([*values, *new])


def steps_at(below: float, above: float) -> Callable[[str, float], float]:
    return lambda name, value: float(value > above or value < -below)


def test_edges_are_the_first_crossing_outward_on_each_side() -> None:
    islands = {-0.5: 1.0, -0.4: 0.0, -0.3: 0.5, -0.2: 0.1, 0.1: 0.0, 0.5: 0.1}
    found = edges(survey_of(lambda name, value: islands.get(value, 0.0),
                            Axis.symmetric("", 0.5, 10).values), 0.1)  # fmt: skip
    assert [(e.direction, e.side) for e in found] == [("a", -1), ("a", 1), ("b", -1), ("b", 1)]
    assert (found[0].inner, found[0].outer) == (-0.2, -0.3)
    assert (found[1].inner, found[1].outer) == (0.5, None)
    assert found[1].doubt == 0.0


def test_an_origin_outside_has_no_edge_and_unjudged_points_are_passed_over() -> None:
    values = (-0.2, -0.1, 0.0, 0.1, 0.2)
    outside = edges(survey_of(lambda name, value: 1.0, values), 0.1)
    assert all(edge.inner is None and edge.outer == 0.0 for edge in outside)
    assert not any(is_open(edge, 0.01) for edge in outside)
    survey = survey_of(steps_at(0.15, 0.15), values)
    for landscape in survey.landscapes:
        landscape.outcomes[3] = UNJUDGED
    passed = edges(survey, 0.1)
    assert (passed[1].inner, passed[1].outer) == (0.0, 0.2)


@pytest.mark.parametrize("tolerance", [0.05, 0.02, 0.004])
def test_every_edge_is_found_to_the_tolerance(tolerance: float) -> None:
    at = {"a": 0.137, "b": 0.333}

    def asr(name: str, value: float) -> float:
        return float(abs(value) > at[name])

    def score(name: str, value: float) -> float:
        return 1 - abs(value) ** 3

    counts = []
    for scores in (silent, score):
        values, found = searched(asr, scores, tolerance)
        assert len(set(values)) == len(values)
        for edge in found:
            assert edge.inner is not None
            assert edge.outer is not None
            assert edge.doubt <= tolerance * (1 + 1e-9)
            assert abs(edge.inner) <= at[edge.direction] < abs(edge.outer)
        counts.append(len(values))
    halvings = math.ceil(math.log2(0.1 / tolerance))
    assert counts[0] == 11 + 4 * halvings


def test_a_score_that_goes_with_the_asr_saves_points() -> None:
    def asr(name: str, value: float) -> float:
        return min(1.0, max(0.0, (abs(value) - 0.2) * 12))

    def score(name: str, value: float) -> float:
        return 1 - asr(name, value)

    plain, _ = searched(asr, silent, 0.0008)
    scored, found = searched(asr, score, 0.0008)
    assert len(scored) < len(plain)
    for edge in found:
        assert edge.inner is not None
        assert abs(edge.inner) <= 0.2 + 0.15 / 12


def test_one_value_serves_the_edges_of_several_directions() -> None:
    values, _ = searched(steps_at(0.23, 0.23), silent, 0.025)
    assert len(values) == 11 + 2 * 2


def test_the_points_are_bounded_and_the_widest_doubt_comes_first() -> None:
    values, found = searched(steps_at(0.13, 0.37), silent, 0.01, most=13)
    assert len(values) == 13
    assert all(is_open(edge, 0.01) for edge in found)
    assert max(edge.doubt for edge in found) == pytest.approx(0.05)


def test_a_cut_lies_between_and_leaves_three_quarters_at_most() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        inner, length = rng.uniform(0, 0.3), rng.uniform(0.05, 0.2)
        sign = rng.choice((-1.0, 1.0))
        edge = Edge("a", int(sign), sign * inner, sign * (inner + length))
        noise = {}

        def score(value: float, noise: dict[float, float] = noise) -> float:
            return noise.setdefault(value, float(rng.normal()))

        cut = abs(place(edge, length / 16, score)) - inner
        assert length / 4 - 1e-9 <= cut <= 3 * length / 4 + 1e-9


def test_half_the_steps_are_coarse() -> None:
    assert [coarse_steps(steps) for steps in (2, 4, 6, 20, 22)] == [2, 2, 2, 10, 10]
    assert grain_of(0.5, 20, 0.025) == pytest.approx(0.025)
    assert grain_of(0.5, 20, 1.0) == pytest.approx(0.1)
    assert grain_of(0.5, 20, 0.03) == pytest.approx(0.025)


def test_an_even_axis_is_told_from_an_uneven_one() -> None:
    assert Axis.symmetric("a", 0.3, 14).even
    assert Axis("a", (0.5,)).even
    assert not Axis("a", (0.0, 0.1, 0.15)).even


def test_the_planted_edge_is_known_to_the_tolerance(tmp_path: Path) -> None:
    found = scan_adaptively(prepare(planted.config(tmp_path)), 0.002)
    below, above = found.edges
    assert (below.inner, below.outer) == (-0.5, None)
    assert above.inner is not None
    assert above.outer is not None
    assert above.inner <= planted.FLIP < above.outer
    assert above.doubt <= 0.002 * (1 + 1e-9)
    assert found.open_edges == ()
    assert found.values <= found.most == 21
    assert found.placed_by == "score and ASR"
    result = found.result
    assert result.complete
    assert result.summary.unjudged == result.summary.assumed == 0
    assert result.summary.visage_reference is None
    assert result.summary.basin is not None
    width = result.summary.basin.positive.width.value
    assert width == pytest.approx(planted.FLIP, abs=0.002)


def test_its_run_is_an_ordinary_one(tmp_path: Path) -> None:
    found = scan_adaptively(prepare(planted.config(tmp_path)), 0.02)
    run = found.result.folder
    assert verify(run).problems == ()
    again = look(run)
    assert again.complete
    assert again.summary.cells == found.result.summary.cells
    assert rejudge(run, ["arditi"]).summary.axes == found.result.summary.axes
    for path in found.result.figures:
        assert path.stat().st_size > 1000
    written = json.loads((run / ADAPTIVE).read_text(encoding="utf-8"))
    assert written["known"]
    assert written["values"] == len(found.result.summary.axes[0])


class Counting(Silent):
    def __init__(self) -> None:
        self.points: list[Point] = []

    def finished(self, point: Point) -> None:
        self.points.append(point)


class StoppedError(Exception):
    """The moment at which a test interrupts a scan."""


def test_it_resumes_after_an_interruption_at_any_point(tmp_path: Path) -> None:
    config = planted.config(tmp_path)
    whole = Counting()
    expected = scan_adaptively(prepare(replace(config, out=str(tmp_path / "whole"))), 0.01, whole)
    measured: list[Point] = []
    for _ in range(len(whole.points) + 1):

        class Stopping(Counting):
            def finished(self, point: Point) -> None:
                measured.append(point)
                if len(measured) % 3 == 0:
                    raise StoppedError

        try:
            found = scan_adaptively(prepare(config), 0.01, Stopping())
        except StoppedError:
            assert verify(tmp_path / "run").problems == ()
            continue
        break
    assert found.result.summary.cells == expected.result.summary.cells
    assert len(measured) == len(set(measured)) == len(whole.points)
    nothing = Counting()
    again = scan_adaptively(prepare(config), 0.01, nothing)
    assert nothing.points == []
    assert again.to_json() == found.to_json() == expected.to_json()
    assert again.placed_by == "score and ASR"


def test_a_finer_tolerance_or_more_steps_go_on_from_what_is_there(tmp_path: Path) -> None:
    config = planted.config(tmp_path)
    first = scan_adaptively(prepare(config), 0.05)
    finer = Counting()
    second = scan_adaptively(prepare(config), 0.01, finer)
    assert second.values == first.values + len(finer.points)
    assert set(first.result.summary.axes[0]) < set(second.result.summary.axes[0])
    short = scan_adaptively(prepare(replace(config, steps=4, out=str(tmp_path / "short"))), 0.001)
    assert short.values == 5
    assert len(short.open_edges) == 1


def test_other_settings_do_not_enter_its_folder(tmp_path: Path) -> None:
    config = planted.config(tmp_path)
    scan_adaptively(prepare(config), 0.05)
    with pytest.raises(RunMismatch, match="planes"):
        scan_adaptively(prepare(replace(config, radius=0.6)), 0.05)
    with pytest.raises(RunMismatch, match="grid"):
        scan(prepare(config))


def test_a_name_of_its_own_that_does_not_change_as_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = planted.config(tmp_path, out=None)
    prepared = prepare(config)
    names = {adapted(prepared).folder, adapted(prepared).folder}
    found = scan_adaptively(prepared, 0.01)
    assert {*names, found.result.folder, adapted(prepare(config)).folder} == names
    assert prepared.folder not in names


def test_without_openers_the_asr_alone_places_the_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive, "judged_answers", lambda exchanges, verdicts: [("ask", True)])
    monkeypatch.setattr("safebasin.scanning.scout.AFFIRMATIVE_OPENERS", ("ask",))
    found = scan_adaptively(prepare(planted.config(tmp_path)), 0.01)
    assert found.placed_by == "ASR"
    assert found.open_edges == ()


def test_what_cannot_be_refined_is_one_sentence(tmp_path: Path) -> None:
    config = planted.config(tmp_path)
    prepared = prepare(config)
    for change, words in (
        ({"stop_at_plateau": True}, "either --adaptive or --stop-at-plateau"),
        ({"shard": "1/2"}, "either --adaptive or --shard"),
        ({"steps": 0}, "--steps of at least 2"),
    ):
        with pytest.raises(UsageError, match=words):
            adapted(replace(prepared, config=replace(config, **change)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tolerance of the edges is 0"):
        scan_adaptively(prepared, 0.0)
    plane = ScanConfig(
        model=str(pico.save(tmp_path / "pico")), axes=2, steps=2, limit=2, device="cpu"
    )
    with pytest.raises(UsageError, match="Only lines"):
        adapted(prepare(plane))


def test_a_run_does_not_lose_points_as_it_grows(tmp_path: Path) -> None:
    found = scan_adaptively(prepare(planted.config(tmp_path)), 0.05)
    with RunFolder.reopen(found.result.folder) as run, pytest.raises(ValueError, match="leave out"):
        run.extend([Plane((Axis("toward", (0.0, 0.1)),))])


def test_the_command_prints_the_edges(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(planted.config(tmp_path).to_json()), encoding="utf-8")

    def run(*arguments: str) -> str:
        code, out, err = command("scan", "--config", settings, "--adaptive", *arguments)
        assert code == 0, err
        return str(out)

    planned = run("--dry-run")
    assert "at most" in planned
    assert not (tmp_path / "run").exists()
    found = json.loads(run("--edge-tolerance", "0.02", "--json"))
    assert found["adaptive"]["known"]
    assert found["headline"] == "llm-landscape"
    out = run("--edge-tolerance", "0.001", "--steps", "4", "--out", str(tmp_path / "short"))
    assert re.search(r"toward above 0: between \+0\.\d+ and \+0\.\d+\n", out)
    assert "1 edge is not known to 0.001" in out
    assert "toward below 0: inside up to the end of the range" in out
