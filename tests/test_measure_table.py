"""The one list of measures: what is in it is told everywhere, and nothing is told that is not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from safebasin.cli import summary as console
from safebasin.cli.step_summary import of_scan
from safebasin.judges import build_all
from safebasin.judging import adopt, judge_run
from safebasin.landscape import Estimate
from safebasin.landscape.resample import Sample
from safebasin.landscape.table import MEASURES, Measure
from safebasin.plane import Axis, Plane, Point
from safebasin.report.card import card
from safebasin.report.measure_table import measure_table, replaced
from safebasin.report.page import document, findings
from safebasin.report.quantities import estimated
from safebasin.results import Result, look
from safebasin.run import RunFolder
from support import judged_runs

DOCUMENTED = Path(__file__).parents[1] / "docs" / "reading-a-landscape.md"
STEPS = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
LINES = [Plane((Axis(f"gaussian-{seed}", STEPS),)) for seed in range(2)]
PLANE = Plane((Axis("gaussian-0", STEPS[2:-2]), Axis("gaussian-1", STEPS[2:-2])))
MADE_UP = Measure(
    key="made_up",
    name="made-up depth",
    unit="%",
    meaning="how deep it is, for a test",
    compute=lambda sample, tolerance, score: Estimate(0.4321, 0.1234, 0.5678, note="by a test"),
)


def answer(point: Point, number: int) -> str:
    """Refusals near the origin, all compliance from 0.6 on, and some on the way."""
    chance = random.Random(f"{point.label} {number}").random()
    if point.is_origin or chance > 0.05 + 1.6 * point.distance:
        return judged_runs.REFUSAL if number or not point.is_origin else judged_runs.COMPLIANCE
    return f"{judged_runs.COMPLIANCE} {number}."


def judged(path: Path, plane: Plane, more: list[Plane]) -> Result:
    judges = build_all(["outcome"])
    judged_runs.write(path, answer, plane=plane, more=more)
    with RunFolder.reopen(path) as run:
        adopt(run, judges)
        judge_run(run, judges)
    return look(path)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Two lines and a plane, on which every measure has a value."""
    folder = tmp_path_factory.mktemp("measures")
    return [judged(folder / "line", LINES[0], LINES[1:]), judged(folder / "plane", PLANE, [])]


def estimates(value: Any, path: str = "") -> Iterator[str]:
    """The places of all estimates in a summary's JSON; the points of its map are no measures."""
    if isinstance(value, Mapping):
        if {"value", "low", "high", "per_direction"} <= set(value):
            yield path
        for name, part in value.items():
            yield from estimates(part, f"{path}.{name}" if path else name)


def test_every_estimate_of_a_summary_is_a_row_and_every_row_is_in_the_json(
    results: list[Result],
) -> None:
    found = {place for one in results for place in estimates(one.summary.to_json())}
    assert sorted(found - set(MEASURES)) == [], "computed, and no row of landscape/table.py"
    assert sorted(set(MEASURES) - found) == [], "rows of landscape/table.py that no JSON holds"


@pytest.mark.parametrize("key", MEASURES)
def test_a_measure_is_told_everywhere_with_one_value(results: list[Result], key: str) -> None:
    measure = MEASURES[key]
    known = 0
    for result in results:
        estimate = measure.of(result.summary)
        if estimate is None or estimate.value is None:
            continue
        known += 1
        place: Any = result.to_json()["judges"]["outcome"]
        for level in key.split("."):
            place = place[level]
        assert place == estimate.to_json(), f"{measure.name}: landscape.json"
        text = estimated(estimate, measure.unit)
        assert any(text in said for _, said in console.lines(result)), f"{measure.name}: console"
        rows = {row.name: row.text for row in findings.rows(result.summary)}
        assert rows.get(measure.name) == text, f"{measure.name}: page"
        if measure.label is not None:
            label = (measure.label or measure.name).format(tolerance=10)
            section = card(RunFolder.read(result.folder), result.to_json())
            assert f"| {label} | {text} |\n" in section, f"{measure.name}: card"
    assert known, f"{measure.name} has no value on a line nor on a plane"


def test_a_new_measure_is_its_computation_and_its_row(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "43.2 % (12.3 to 56.8)"
    before = results[0]
    assert all(name != MADE_UP.name for name, _ in console.lines(before))
    monkeypatch.setitem(MEASURES, MADE_UP.key, MADE_UP)
    result = look(before.folder)
    assert (MADE_UP.name, f"{text}; by a test") in list(console.lines(result))
    assert result.to_json()["judges"]["outcome"]["made_up"]["high"] == 0.5678
    section = card(RunFolder.read(result.folder), result.to_json())
    assert f"| made-up depth | {text} |\n" in section
    assert of_scan(result).startswith(section)
    assert findings.Row(MADE_UP.name, text, "by a test") in list(findings.rows(result.summary))
    page = document([result])
    assert MADE_UP.name in page
    assert text in page
    head, rows = findings.comparison([result, result])
    assert rows[0][head.index(MADE_UP.name)] == text
    assert "| made-up depth | `made_up` | % | how deep it is, for a test |" in measure_table()


def test_a_measure_that_a_map_has_none_of_is_left_out(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_planes(sample: Sample, tolerance: float, score: str) -> Estimate | None:
        return Estimate(0.5) if len(sample.axes) == 2 else None

    row = Measure(
        key="made_up", name="made-up", unit="alpha", meaning="nothing", compute=on_planes
    )  # fmt: skip
    monkeypatch.setitem(MEASURES, row.key, row)
    line, plane = (look(result.folder) for result in results)
    assert ("made-up", "0.50") in list(console.lines(plane))
    assert "made-up" not in dict(console.lines(line))
    assert "made-up" not in {one.name for one in findings.rows(line.summary)}
    assert line.to_json()["judges"]["outcome"]["made_up"] is None
    assert "made-up" not in card(RunFolder.read(line.folder), line.to_json())


def test_what_the_console_says_in_its_own_words_is_in_the_list() -> None:
    assert {*console.LINES, *console.IN_ANOTHER_LINE} <= set(MEASURES)
    assert not set(console.LINES) & console.IN_ANOTHER_LINE


def test_the_table_of_the_documentation_is_up_to_date() -> None:
    written = DOCUMENTED.read_text(encoding="utf-8")
    assert written == replaced(written), (
        "run: python -m safebasin.report.measure_table docs/reading-a-landscape.md"
    )


@pytest.mark.parametrize("key", MEASURES)
def test_a_row_says_what_a_reader_needs(key: str) -> None:
    measure = MEASURES[key]
    assert measure.key == key
    assert measure.name
    assert measure.meaning
    assert not measure.meaning.endswith(".")
    assert (measure.compute is None) != (measure.read is None), "computed, or read off a part"
