"""At which points a capability is measured: where points are placed, left out, or asked for later.

The planted model answers its one question rightly up to the coefficient at which it complies.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safebasin.config import ScanConfig
from safebasin.landscape.capability import Capability
from safebasin.plane import Point
from safebasin.results import Result, look
from safebasin.run import RunFolder
from safebasin.run.verify import verify
from safebasin.scanning.adaptive import scan_adaptively
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study.observer import Silent
from support import planted

NAME = "own.jsonl"


class Heard(Silent):
    """Counts what is measured; raises at a capability's point where it is told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.answered_points: list[Point] = []
        self.capability_points = 0
        self.stop_at = stop_at
        self._before: int | None = None

    def finished(self, point: Point) -> None:
        self.answered_points.append(point)

    def capability(self, name: str, done: int, points: int) -> None:
        if self._before is not None and done == self._before + 1:
            self.capability_points += 1
        self._before = None if done == points else done
        if self.capability_points == self.stop_at:
            raise StoppedError


class StoppedError(Exception):
    """The moment at which a test interrupts a scan."""


def config_of(folder: Path, **changes: object) -> ScanConfig:
    questions = folder / NAME
    row = {"question": "ask this", "choices": [" Sorry no", " Certainly yes"], "answer": 0}
    questions.write_text(f"{json.dumps(row)}\n", encoding="utf-8")
    return planted.config(folder, **{"capability": (str(questions),), **changes})


def recorded(folder: Path) -> set[Point]:
    """The points of a run that hold a record of the capability."""
    run = RunFolder.read(folder)
    return {p for p in run.manifest.points if run.read_capability(NAME, p) is not None}


def capability_of(result: Result) -> Capability:
    [one] = result.capabilities
    return one


def test_an_adaptive_scan_measures_every_point_that_it_places(tmp_path: Path) -> None:
    config, heard = config_of(tmp_path), Heard()
    found = scan_adaptively(prepare(config), 0.01, heard)
    folder = found.result.folder
    points = RunFolder.read(folder).manifest.points
    assert found.values > 11, "points were placed beside the coarse ones"
    assert recorded(folder) == set(points)
    assert heard.capability_points == len(points)
    assert verify(folder).problems == ()
    one = capability_of(found.result)
    assert one.missing == 0
    above = one.extent().positive
    assert above is not None
    assert above.value == pytest.approx(planted.FLIP, abs=0.01)
    again = Heard()
    scan_adaptively(prepare(config), 0.01, again)
    assert (again.answered_points, again.capability_points) == ([], 0)


@pytest.mark.parametrize("stop_at", [3, 12])
def test_an_adaptive_scan_resumes_within_a_capability(tmp_path: Path, stop_at: int) -> None:
    """At the third point, in the coarse line, and at the twelfth, in a round after it."""
    config, first, second = config_of(tmp_path), Heard(stop_at), Heard()
    with pytest.raises(StoppedError):
        scan_adaptively(prepare(config), 0.01, first)
    assert len(recorded(tmp_path / "run")) == stop_at
    found = scan_adaptively(prepare(config), 0.01, second)
    points = RunFolder.read(found.result.folder).manifest.points
    assert recorded(found.result.folder) == set(points)
    assert stop_at + second.capability_points == len(points)
    asked = first.answered_points + second.answered_points
    assert len(asked) == len(set(asked)) == len(points)


def test_points_beyond_the_plateau_hold_no_capability(tmp_path: Path) -> None:
    config, heard = config_of(tmp_path, stop_at_plateau=True), Heard()
    short = scan(prepare(config), heard)
    points = set(RunFolder.read(short.folder).manifest.points)
    skipped = {cell.point for cell in short.summary.cells[0] if cell.assumed}
    assert skipped
    assert recorded(short.folder) == points - skipped
    assert heard.capability_points == len(points - skipped)
    assert short.complete
    assert verify(short.folder).problems == ()
    one = capability_of(short)
    assert (one.missing, set(one.assumed)) == (0, skipped)
    assert all(one.reading(point) is None for point in skipped)
    assert capability_of(look(short.folder)).to_json() == one.to_json()
    again = Heard()
    assert prepare(config).plan().capabilities[0].points_missing == 0
    scan(prepare(config), again)
    assert (again.answered_points, again.capability_points) == ([], 0)


def test_what_lay_beyond_the_plateau_is_measured_once_it_is_asked(tmp_path: Path) -> None:
    short = scan(prepare(config_of(tmp_path, stop_at_plateau=True)))
    before = recorded(short.folder)
    heard = Heard()
    whole = scan(prepare(config_of(tmp_path)), heard)
    points = set(RunFolder.read(whole.folder).manifest.points)
    assert recorded(whole.folder) == points
    assert heard.capability_points == len(points - before) == len(heard.answered_points)
    assert capability_of(whole).assumed == frozenset()
    edges = [capability_of(one).extent().positive for one in (short, whole)]
    assert all(edge is not None for edge in edges)
    assert edges[0].value == edges[1].value  # type: ignore[union-attr]


def test_the_plan_says_how_long_a_capability_takes_and_where_it_is_missing(tmp_path: Path) -> None:
    config = config_of(tmp_path, steps=4)
    [before] = prepare(config).plan().capabilities
    assert (before.name, before.points_missing) == (NAME, 5)
    assert before.seconds is not None
    assert 0 < before.seconds[0] <= before.seconds[1]
    assert not (tmp_path / "run").exists()
    scan(prepare(config))
    [after] = prepare(config).plan().capabilities
    assert (after.points_missing, after.seconds) == (0, (0.0, 0.0))
    lost = next((tmp_path / "run" / "capability").glob("*/origin.jsonl"))
    lost.unlink()
    assert prepare(config).plan().capabilities[0].points_missing == 1


def test_the_printed_plan_names_the_capabilities(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(config_of(tmp_path, steps=4).to_json()), encoding="utf-8")
    code, out, err = command("scan", "--config", settings, "--dry-run")
    assert code == 0, err
    assert f"capable  {NAME} at 5 points, 1 s by a measured batch" in out
    assert "by a measured batch; the capabilities come on top" in out
    assert command("scan", "--config", settings)[0] == 0
    assert f"capable  {NAME}, measured at every point" in command(
        "scan", "--config", settings, "--dry-run"
    )[1]  # fmt: skip
