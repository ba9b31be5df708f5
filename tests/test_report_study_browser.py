"""The pages of a trajectory and of a comparison in a real Chromium. `make test-browser`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import test_report_browser as shared
from safebasin.report.page import write_page
from safebasin.report.studies import read_study
from safebasin.results import look
from support import hostile_runs, judged_runs, study_folders

browser, visit = shared.browser, shared.visit


def page_of(folder: Path) -> Path:
    study = read_study(folder)
    assert study is not None
    runs = [look(run, study.tolerance) for run in study.runs(folder)]
    return write_page(folder / "page.html", runs, study=study, show_text=True)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(study_folders.trajectory(tmp_path_factory.mktemp("way")))


@pytest.fixture(scope="module")
def change(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(study_folders.comparison(tmp_path_factory.mktemp("change"), layers=40))


def marks(page: Any) -> Any:
    """What plotly holds of the checkpoints' dots."""
    return page.evaluate(
        """() => {
          const traces = document.getElementById("map").data;
          const dots = traces.find((one) => one.meta && one.meta.marks);
          return { x: [...dots.x], y: [...dots.y], text: dots.text, colour: dots.marker.color };
        }"""
    )


def test_checkpoints_are_walked_by_keyboard(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    page = seen.page
    assert seen.says("#checkpoint-value") == "2: step-20", "the first one outside"
    assert "at checkpoint 2 (step-20), by" in seen.says("#found")
    page.focus("#checkpoint")
    page.keyboard.press("Home")
    assert "The base, pico" in seen.says("#there")
    page.keyboard.press("ArrowRight")
    assert seen.says("#checkpoint-value") == "1: step-10"
    said = seen.says("#there")
    assert "ASR 0.0 %" in said
    assert "40.0 %" in said
    assert "77 % of its way is not in the plane" in said
    assert "The answers beneath are its own" in said
    page.keyboard.press("End")
    assert "ASR not known where it really is" in seen.says("#there")


def test_a_checkpoint_opens_its_own_answers_beside_the_bases(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    page = seen.page
    page.fill("#checkpoint", "2")
    assert "at checkpoint 2 (step-20), by" in seen.says("#found")
    assert "18" in seen.says("[data-filter=complied]")
    assert "Checkpoint 2 (step-20) with its own weights: ASR 90.0 %" in seen.says("#here")
    page.check("#reveal")
    page.click("[data-filter=flipped]")
    undisplaced, own = page.locator("#detail .sides > div").all_inner_texts()
    assert judged_runs.REFUSAL in undisplaced
    assert "Own 1." in own
    assert seen.says("#first-value") == "+0.75", "the fields stand at the nearest point"
    page.fill("#checkpoint", "3")
    assert "not measured" in seen.says("#detail")
    page.fill("#first", "0")
    assert "of the map" in seen.says("#there")
    assert "at principal-1=-0.25" in seen.says("#found")
    page.click("#points summary")
    page.click("[aria-label='Open checkpoint 2 (step-20)']")
    assert seen.says("#checkpoint-value") == "2: step-20"


def test_without_the_checkpoints_own_run_the_map_answers(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = study_folders.trajectory(tmp_path)
    shutil.rmtree(folder / "checkpoints")
    seen = visit(page_of(folder))
    seen.page.fill("#checkpoint", "1")
    assert "at principal-1=+0.25, by" in seen.says("#found"), "the nearest point"
    assert "of the map" in seen.says("#there")


def test_checkpoints_lie_in_order_in_the_colour_of_their_own_asr(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    found = marks(seen.page)
    assert (found["x"], found["y"]) == ([0.2, 0.7, 1.0], [-0.1, 0.1, 0.0])
    assert found["text"] == ["1", "2", "3"]
    dark, light, unknown = found["colour"]
    assert dark == "#00224e"
    assert light == "#e5cf52"
    assert unknown not in (dark, light)
    seen.page.select_option("#judge", "1")
    assert set(marks(seen.page)["colour"]) == {unknown}, "another judge has no ASR of theirs"


def test_a_click_on_a_checkpoint_chooses_it(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    seen.page.locator("#map").scroll_into_view_if_needed()
    x, y = seen.page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const { xaxis, yaxis } = map._fullLayout;
          const { left, top } = map.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(0.7), top + yaxis._offset + yaxis.l2p(0.1)];
        }"""
    )
    seen.page.mouse.move(x - 20, y)
    seen.page.mouse.move(x, y)
    seen.page.mouse.click(x, y)
    assert seen.says("#checkpoint-value") == "2: step-20"


def test_checkpoints_stand_on_the_surface(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    seen.page.select_option("#view", "surface")
    seen.page.wait_for_selector("#map canvas")
    assert marks(seen.page)["x"] == [0.2, 0.7, 1.0]
    assert "checkpoints in order" in seen.says("#legend")
    seen.page.select_option("#quantity", "refused")
    assert "checkpoints" not in seen.says("#legend"), "their heights are ASR, not this share"


def test_the_table_has_every_checkpoint(visit, way: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way)
    rows = seen.page.locator("#checkpoints-table tbody tr")
    assert rows.count() == 3
    assert "-40.0" in rows.nth(0).inner_text()
    assert "77 %" in rows.nth(0).inner_text()


def test_the_verdict_comes_first_and_the_layers_have_bars(visit, change: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(change)
    assert seen.says("main .verdict") == "FAIL"
    wide = seen.page.evaluate(
        """[...document.querySelectorAll("#layers-table rect")]
          .map((one) => one.getBoundingClientRect().width)"""
    )
    assert len(wide) == 42
    assert wide[-1] == max(wide) > 50
    assert wide[1] == 0


def test_a_comparison_opens_at_the_tuned_model(visit, change: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(change)
    page = seen.page
    assert "The tuned model, nano: ASR" in seen.says("#here")
    assert "Opens at the tuned model, which the comparison is about" in seen.says("#opened")
    assert "at tuned=+1, by" in seen.says("#found")
    said = page.evaluate("document.getElementById('map').layout.annotations.map((a) => a.text)")
    assert said == ["base", "tuned"]
    page.click("#to-origin")
    assert "The base, pico: ASR" in seen.says("#here")


def test_hostile_checkpoints_execute_nothing(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = (hostile_runs.NAME, "</script><script>window.hit=1</script>", "{{7*7}}")
    seen = visit(page_of(study_folders.trajectory(tmp_path, names)))
    for number in range(4):
        seen.page.fill("#checkpoint", str(number))
    assert hostile_runs.NAME in seen.says("#checkpoints-table")
    assert seen.page.locator("main img").count() == 0
    assert not seen.hit()


@pytest.mark.parametrize("width", [380, 1024, 1920])
@pytest.mark.parametrize("kind", ["way", "change"])
def test_nothing_is_wider_than_the_screen(visit, way, change, width: int, kind: str) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way if kind == "way" else change, width=width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(shared.AXE is None, reason="AXE_CORE does not name axe-core's axe.min.js")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["way", "change"])
def test_axe_finds_nothing_serious(visit, way, change, kind: str, theme: str) -> None:  # type: ignore[no-untyped-def]
    seen = visit(way if kind == "way" else change, theme=theme)
    seen.page.evaluate(Path(str(shared.AXE)).read_text(encoding="utf-8"))
    found = seen.page.evaluate("axe.run()")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in serious] == []
