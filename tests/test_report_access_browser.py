"""Who reaches what on a page: by keyboard, by mouse, by screen reader, on a phone, in the dark.

`make test-browser` sets it up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import test_report_browser as shared
from safebasin.plane import Axis, Plane, Point
from safebasin.report.page import write_page
from safebasin.results import look, rejudge
from support import judged_runs

browser, visit, line, plane = shared.browser, shared.visit, shared.line, shared.plane

TAGS = "<b>bold</b><a href='javascript:window.hit=1'>go</a>%{x}<extra></extra><br>$x$"
"""What plotly reads in its own labels and hovers."""
HEADS = "#points-table thead th"
ABLE = [
    "testbed:choice accuracy (95 % interval)",
    "perplexity:text.txt perplexity (95 % interval)",
]
A4 = 688
"""CSS pixels between the margins of a page of paper."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same prompts, of which one breaks sooner."""
    folder = tmp_path_factory.mktemp("both")
    runs = []
    for name, wall in (("wide", 0.15), ("tight", 0.05)):

        def answer(point: Point, n: int, wall: float = wall) -> str:
            return judged_runs.REFUSAL if point.distance < wall else judged_runs.COMPLIANCE

        runs.append(judged_runs.write(folder / name, answer))
        rejudge(runs[-1], ["llm-landscape", "outcome"])
    return write_page(folder / "page.html", [look(run) for run in runs], show_text=True)


@pytest.fixture(scope="module")
def able_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a line where capabilities were measured, one of them not at every point."""
    folder = tmp_path_factory.mktemp("able-line")
    return shared.page_of(folder, judged_runs.LINE, capabilities=judged_runs.CAPABILITIES)


@pytest.fixture(scope="module")
def able_plane(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes = tuple(Axis.symmetric(name, 0.2, 4) for name in ("gaussian-0", "gaussian-1"))
    folder = tmp_path_factory.mktemp("able-plane")
    return shared.page_of(folder, Plane(axes), capabilities=judged_runs.CAPABILITIES)


def open_points(page: Any) -> None:
    page.click("#points summary")
    page.wait_for_selector("#points-table tbody tr")


def points_table(page: Any) -> tuple[list[str], dict[str, list[Any]]]:
    """The heads of the open table of points, and by point the other cells of its row."""
    heads = [text.replace("\u00a0", " ") for text in page.locator(HEADS).all_inner_texts()]
    rows = page.locator("#points-table tbody tr").all()
    return heads, {row.locator("th").inner_text(): row.locator("td").all() for row in rows}


def active(page: Any) -> dict[str, Any]:
    """The focused element: its id or text, and whether its focus can be seen."""
    found: dict[str, Any] = page.evaluate(
        """() => {
          const one = document.activeElement;
          const style = getComputedStyle(one);
          return {
            name: one.id || one.dataset.filter || one.dataset.turn || one.textContent.trim(),
            tag: one.tagName,
            seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
          };
        }"""
    )
    return found


@pytest.mark.parametrize("kind", ["line", "plane", "both"])
def test_every_field_is_reached_by_tab_and_shows_its_focus(visit, line, plane, both, kind) -> None:  # type: ignore[no-untyped-def]
    page = visit({"line": line, "plane": plane, "both": both}[kind]).page
    names = []
    for _ in range(60):
        page.keyboard.press("Tab")
        now = active(page)
        if now["tag"] == "BODY":
            break
        assert now["seen"], now
        names.append(now["name"])
    wanted = ["theme", "print", "judge", "first", "to-origin", "flipped", "search", "everywhere"]
    wanted += {"line": ["reveal"], "plane": ["view", "quantity", "second"], "both": ["run"]}[kind]
    assert set(wanted) <= set(names)
    assert names.index("judge") < names.index("first") < names.index("list")


def test_arrows_walk_a_plane_in_both_senses(visit, plane: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(plane)
    page = seen.page
    page.click("#to-origin")
    page.focus("#first")
    page.keyboard.press("ArrowRight")
    page.focus("#second")
    page.keyboard.press("ArrowLeft")
    assert "gaussian-0=+0.1,gaussian-1=-0.1" in seen.says("#found")
    spoken = page.get_attribute("#second", "aria-valuetext")
    assert "gaussian-0=+0.1,gaussian-1=-0.1: ASR" in spoken.replace("\u00a0", " ")


def test_a_click_on_a_contour_opens_the_nearest_point(visit, plane: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(plane)
    seen.page.locator("#map").scroll_into_view_if_needed()
    x, y = seen.page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const { xaxis, yaxis } = map._fullLayout;
          const { left, top } = map.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(-0.19), top + yaxis._offset + yaxis.l2p(0.11)];
        }"""
    )
    seen.page.mouse.move(x - 20, y)
    seen.page.mouse.move(x, y)
    seen.page.mouse.click(x, y)
    assert "gaussian-0=-0.2,gaussian-1=+0.1" in seen.says("#found")


def test_a_surface_is_turned_with_the_mouse(visit, plane: Path) -> None:  # type: ignore[no-untyped-def]
    page = visit(plane).page
    page.select_option("#view", "surface")
    page.wait_for_selector("#map canvas")
    page.locator("#map").scroll_into_view_if_needed()
    camera = (
        "() => ({ ...document.getElementById('map')._fullLayout.scene._scene.getCamera().eye })"
    )
    before = page.evaluate(camera)
    box = page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 20, steps=6)
    page.mouse.up()
    page.wait_for_timeout(200)
    after = page.evaluate(camera)
    assert sum(abs(after[name] - before[name]) for name in "xyz") > 0.2


@pytest.mark.parametrize("axes", [1, 2])
def test_tags_that_plotly_reads_stay_text_in_its_labels(visit, tmp_path: Path, axes: int) -> None:  # type: ignore[no-untyped-def]
    grid = Plane(tuple(Axis(f"{TAGS}{i}", (-0.1, 0.0, 0.1)) for i in range(axes)))
    run = judged_runs.write(tmp_path / "run", shared.breaking, plane=grid, name=TAGS)
    rejudge(run, ["llm-landscape"])
    seen = visit(write_page(tmp_path / "page.html", [look(run)], show_text=True))
    page = seen.page
    for view in ("contour", "surface") if axes == 2 else ("",):
        if view:
            page.select_option("#view", view)
        box = page.locator("#map").bounding_box()
        for share in (0.3, 0.5, 0.7):
            page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5)
            page.wait_for_timeout(60)
        assert page.locator("#map a, #map svg b, .hoverlayer text").count() == 0
    if axes == 2:
        page.select_option("#view", "contour")
        assert "<b>bold</b>" in page.locator("#map .xtitle").text_content()
        assert page.locator("#map .xtitle tspan[style*=bold]").count() == 0
    assert "<b>bold</b><a href=" in seen.says("#first-name")
    assert not seen.hit()


def test_several_runs_begin_with_which_is_wider(visit, both: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(both)
    assert "pico (wide) is the widest" in seen.says("main .headline >> nth=0")
    headings = seen.page.locator("main h2").all_inner_texts()
    assert headings.index("The runs on one axis") < headings.index("Each run")
    assert seen.page.locator("#runs-table tbody tr").count() == 2


def test_a_click_on_a_runs_curve_opens_it_there(visit, both: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(both)
    page = seen.page
    page.locator("#compare").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """() => {
          const chart = document.getElementById("compare");
          const { xaxis, yaxis } = chart._fullLayout;
          const { left, top } = chart.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(0.1), top + yaxis._offset + yaxis.l2p(100)];
        }"""
    )
    page.mouse.move(x - 20, y)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    assert page.input_value("#run") == "1", "the one that is broken at 0.1"
    assert "at gaussian-0=+0.1, by" in seen.says("#found")
    assert active(page)["name"] == "explore"


def test_without_scripts_the_numbers_stand_and_nothing_empty_does(browser, line: Path) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(line.resolve().as_uri())
    assert "need JavaScript" in page.inner_text("main")
    assert "basin width" in page.inner_text("main")
    for part in ("#explore", "#answers", ".actions"):
        assert not page.locator(part).is_visible()
    context.close()


def text(cell: Any) -> str:
    found: str = cell.inner_text()
    return found.replace("\u00a0", " ")


def test_the_table_of_points_has_a_column_a_capability(visit, able_line: Path) -> None:  # type: ignore[no-untyped-def]
    page = visit(able_line).page
    open_points(page)
    heads, rows = points_table(page)
    assert heads[-4:] == ["not judged", *ABLE, "open"]
    choice, perplexity = rows["origin"][-3:-1]
    assert text(choice) == "100.0 % (72.2 to 100.0)"
    assert text(perplexity).startswith("3.004 (")
    assert text(rows["gaussian-0=+0.2"][-3]) == "80.0 % (49.0 to 94.3)"
    assert text(rows["gaussian-0=-0.2"][-2]) == "no finite number"
    page.select_option("#judge", "1")
    assert points_table(page)[0] == heads, "capabilities have no judge"


def test_what_was_not_measured_is_a_dash_that_a_screen_reader_says(visit, able_line) -> None:  # type: ignore[no-untyped-def]
    page = visit(able_line).page
    open_points(page)
    _, rows = points_table(page)
    absent = rows["gaussian-0=+0.2"][-2]
    assert absent.locator("[aria-hidden=true]").inner_text() == "–"
    assert absent.aria_snapshot() == '- cell "not measured"'
    assert page.locator("#points-table").get_by_role("cell", name="not measured").count() == 1


def test_a_planes_points_have_their_capabilities(visit, able_plane: Path) -> None:  # type: ignore[no-untyped-def]
    page = visit(able_plane).page
    open_points(page)
    heads, rows = points_table(page)
    assert heads[-3:-1] == ABLE
    assert len(rows) == 25
    assert text(rows["gaussian-0=+0.1,gaussian-1=-0.1"][-3]) == "100.0 % (72.2 to 100.0)"
    assert text(rows["gaussian-0=-0.2,gaussian-1=+0.1"][-2]) == "no finite number"
    absent = page.locator("#points-table").get_by_role("cell", name="not measured")
    assert absent.count() == 9, "the outer ring of 16 points, but for 7 on the low side"


def test_the_columns_are_those_of_the_chosen_run(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    runs = [
        judged_runs.write(tmp_path / name, shared.breaking, capabilities=capabilities)
        for name, capabilities in (
            ("able", {TAGS: judged_runs.CAPABILITIES["testbed:choice"]}),
            ("plain", judged_runs.NONE),
        )
    ]
    for run in runs:
        rejudge(run, ["llm-landscape"])
    seen = visit(write_page(tmp_path / "page.html", [look(run) for run in runs]))
    open_points(seen.page)
    assert points_table(seen.page)[0][-2] == f"{TAGS} accuracy (95 % interval)"
    assert seen.page.locator("#points-table :is(a, b, br)").count() == 0
    seen.page.select_option("#run", "1")
    assert points_table(seen.page)[0][-2:] == ["not judged", "open"]
    assert not seen.hit()


def test_the_name_of_a_point_stays_in_view_and_leaves_room(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    long = Plane((Axis("d" * 120, (-0.1, 0.0, 0.1)),))
    page = visit(shared.page_of(tmp_path, long), width=380).page
    open_points(page)
    page.eval_on_selector("#points .wide", "one => { one.scrollLeft = one.scrollWidth; }")
    region = page.locator("#points .wide").bounding_box()
    name = page.locator("#points-table tbody th").first.bounding_box()
    assert name["x"] == pytest.approx(region["x"], abs=1)
    assert name["width"] < region["width"] / 2


@pytest.mark.parametrize("kind", ["line", "plane"])
def test_no_column_is_cut_off_on_paper(visit, able_line, able_plane, kind: str) -> None:  # type: ignore[no-untyped-def]
    page = visit({"line": able_line, "plane": able_plane}[kind], width=A4).page
    open_points(page)
    page.emulate_media(media="print")
    assert page.eval_on_selector("#points .wide", "one => one.scrollWidth - one.clientWidth") <= 0


@pytest.mark.skipif(shared.AXE is None, reason="AXE_CORE does not name axe-core's axe.min.js")
@pytest.mark.parametrize("width", [380, 1920])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["line", "plane", "both", "able_line", "able_plane"])
def test_axe_finds_nothing_serious_anywhere(  # type: ignore[no-untyped-def]
    visit, request, kind: str, theme: str, width: int
) -> None:
    page = visit(request.getfixturevalue(kind), width=width, theme=theme).page
    if kind.endswith("plane"):
        page.select_option("#view", "surface")
    if page.locator("#reveal").count():
        page.check("#reveal")
    page.check("#everywhere")
    page.click("#points summary")
    page.evaluate(Path(str(shared.AXE)).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
