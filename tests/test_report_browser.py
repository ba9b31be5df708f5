"""The page of a run as a person meets it, in a real Chromium. `make test-browser` sets it up.

Skipped where there is no Chromium or no Playwright. The check by axe-core is skipped where
AXE_CORE does not name its file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from safebasin.plane import Axis, Plane, Point
from safebasin.report.page import write_page
from safebasin.results import look, rejudge
from support import hostile_runs, judged_runs

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
AXE = os.environ.get("AXE_CORE")
HARMLESS = ("GPU stall", "willReadFrequently")
"""What Chromium says of any picture in three dimensions that is drawn without a graphics card."""


@dataclass
class Seen:
    """A page that is open, and what it complained of or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    clock: Any = None

    def says(self, selector: str) -> str:
        text: str = self.page.inner_text(selector)
        return text.replace("\u00a0", " ")

    def busy(self) -> float:
        """Seconds of processor time that the page's own thread has used so far."""
        found = self.clock.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    def hit(self) -> bool:
        return bool(self.page.evaluate("window.hit === 1"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Seen]]:
    """Opens a file from the disk; at the end nothing was complained of and nothing was fetched."""
    every: list[Seen] = []

    def opened(path: Path, width: int = 1024, theme: str = "light") -> Seen:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
        )
        seen = Seen(context.new_page())
        every.append(seen)
        page = seen.page
        page.on("console", lambda said: seen.complaints.append(said.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
        page.on("request", lambda request: seen.requests.append(request.url))
        seen.clock = context.new_cdp_session(page)
        seen.clock.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        return seen

    yield opened
    for seen in every:
        real = [text for text in seen.complaints if not any(word in text for word in HARMLESS)]
        assert real == []
        assert [u for u in seen.requests if not u.startswith(("file:", "data:", "blob:"))] == []
        seen.page.context.close()


def breaking(point: Point, n: int) -> str:
    """Refusals near the origin; further out the first answers comply, and all do at the end."""
    reach = 0.05 + n * 0.01
    return judged_runs.REFUSAL if point.distance < reach else f"{judged_runs.COMPLIANCE} Plan {n}."


def page_of(
    folder: Path,
    plane: Plane,
    prompts: int = 20,
    *,
    show_text: bool = True,
    judges: tuple[str, ...] = ("llm-landscape", "outcome"),
    capabilities: judged_runs.Capabilities = judged_runs.NONE,
) -> Path:
    run = judged_runs.write(
        folder / "run", breaking, prompts=prompts, plane=plane, capabilities=capabilities
    )
    rejudge(run, judges)
    return write_page(folder / "page.html", [look(run)], show_text=show_text)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(tmp_path_factory.mktemp("line"), judged_runs.LINE)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes = tuple(Axis.symmetric(name, 0.2, 4) for name in ("gaussian-0", "gaussian-1"))
    return page_of(tmp_path_factory.mktemp("plane"), Plane(axes), show_text=False)


def walk(page: Any, field: str, place: int) -> None:
    page.locator(f"#{field}").fill(str(place))


def test_a_point_is_reached_by_keyboard_and_shows_its_answers(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    page = seen.page
    page.focus("#first")
    page.keyboard.press("End")
    assert seen.says("#first-value") == "+0.2"
    assert "ASR 80.0 %" in seen.says("#here")
    assert "16" in seen.says("[data-filter=complied]")
    page.click("[data-filter=flipped]")
    assert "16 of 20 answers at gaussian-0=+0.2" in seen.says("#found")
    page.click("#to-origin")
    assert "0 of 20" in seen.says("#found")


def test_the_page_opens_at_the_origin_and_says_so(visit, line: Path, plane: Path) -> None:  # type: ignore[no-untyped-def]
    for page in (line, plane):
        seen = visit(page)
        assert seen.says("#here").startswith("Origin, the undisplaced model: ASR 0.0 %")
        assert seen.says("#opened") == "Opens at the origin, the undisplaced model."


def test_without_an_origin_the_page_opens_beside_it(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    away = Plane((Axis("gaussian-0", (-0.3, -0.1, 0.2)),))
    seen = visit(page_of(tmp_path, away, judges=("llm-landscape",)))
    assert seen.says("#here").startswith("gaussian-0=-0.1: ASR")
    assert "Opens at gaussian-0=-0.1, the nearest point that was judged" in seen.says("#opened")


def test_a_points_sentence_tells_its_capabilities_with_their_intervals(visit, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run = judged_runs.write(tmp_path / "run", breaking, capabilities=judged_runs.CAPABILITIES)
    rejudge(run, ["llm-landscape"])
    seen = visit(write_page(tmp_path / "page.html", [look(run)]))
    dashes = seen.page.eval_on_selector_all(
        "#legend line", "all => all.map((one) => one.getAttribute('stroke-dasharray'))"
    )
    assert {"7 3", "2 3"} <= set(dashes), "each capability has its own line"
    seen.page.click("#to-origin")
    said = seen.says("#here")
    assert "ASR 0.0 %" in said
    assert (
        "testbed:choice accuracy 100.0 % (72.2 to 100.0); perplexity:text.txt perplexity 3.004 ("
        in said
    )
    walk(seen.page, "first", 4)
    said = seen.says("#here")
    assert said.endswith("Capabilities: testbed:choice accuracy 80.0 % (49.0 to 94.3).")
    assert said in (seen.page.get_attribute("#first", "aria-valuetext") or "").replace(
        "\u00a0", " "
    )
    walk(seen.page, "first", 0)
    assert "perplexity:text.txt perplexity no finite number." in seen.says("#here")


def test_a_click_on_the_map_opens_the_point(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    seen.page.locator("#map").scroll_into_view_if_needed()
    x, y = seen.page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const { xaxis, yaxis } = map._fullLayout;
          const { left, top } = map.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(0.2), top + yaxis._offset + yaxis.l2p(80)];
        }"""
    )
    seen.page.mouse.move(x - 20, y)
    seen.page.mouse.move(x, y)
    seen.page.mouse.click(x, y)
    assert "gaussian-0=+0.2" in seen.says("#found")


def test_answers_stand_beside_the_origins_and_are_folded_first(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    walk(seen.page, "first", 4)
    assert "Certainly" not in seen.says("#detail")
    seen.page.check("#reveal")
    sides = seen.says("#detail .sides")
    assert judged_runs.REFUSAL in sides
    assert judged_runs.COMPLIANCE in sides
    assert "keyword" in seen.says("#detail table")
    assert "outcome" in seen.says("#detail table")


def test_unfolded_rows_are_higher_and_the_chosen_one_stays(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    page = seen.page
    page.focus("#list")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    height = "document.getElementById('option-12').offsetHeight"
    folded = page.evaluate(height)
    page.check("#reveal")
    assert page.evaluate(height) > folded
    assert page.get_attribute("#list", "aria-activedescendant") == "option-12"
    page.uncheck("#reveal")
    assert page.evaluate(height) == folded


def test_search_and_judges(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    walk(seen.page, "first", 4)
    seen.page.fill("#search", "plan 13")
    assert "1 of 1 answers" in seen.says("#found")
    seen.page.fill("#search", "nothing like it")
    assert "No answer fits" in seen.says("#detail")
    seen.page.fill("#search", "")
    seen.page.check("#everywhere")
    assert "100 of 100 answers at every point" in seen.says("#found")
    seen.page.select_option("#judge", "1")
    assert "by the judge outcome" in seen.says("#found")


def test_the_list_is_walked_by_keyboard(visit, line: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line)
    page = seen.page
    page.focus("#list")
    page.keyboard.press("End")
    chosen = page.get_attribute("#list", "aria-activedescendant")
    assert chosen == "option-19"
    assert page.get_attribute(f"#{chosen}", "aria-selected") == "true"
    assert page.get_attribute(f"#{chosen}", "aria-posinset") == "20"
    assert seen.says("#detail h3") == "p19"


def test_the_theme_and_the_print(visit, line: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line, theme="dark")
    page = seen.page
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-pressed") == "false"
    assert page.evaluate(paper) == "rgb(255, 255, 255)" != dark
    page.click("#theme")
    assert page.evaluate(paper) == dark
    printed = page.pdf(path=str(tmp_path / "page.pdf"), print_background=True)
    assert printed.startswith(b"%PDF")
    assert page.evaluate(paper) == dark, "printing leaves the theme as it was"


def test_a_plane_is_a_contour_and_a_surface_that_turns(visit, plane: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(plane)
    page = seen.page
    walk(page, "first", 4)
    walk(page, "second", 0)
    assert "gaussian-0=+0.2,gaussian-1=-0.2" in seen.says("#found")
    assert page.locator("#map .contourlayer path").count() > 0
    page.select_option("#view", "surface")
    page.wait_for_selector("#map canvas")
    camera = "JSON.stringify(document.getElementById('map')._fullLayout.scene.camera.eye)"
    before = page.evaluate(camera)
    page.click("[data-turn=left]")
    assert page.evaluate(camera) != before
    page.select_option("#quantity", "complied")
    page.select_option("#view", "contour")
    assert "share complied" in seen.says("#legend")


def test_without_texts_fingerprints_stand_in_their_place(visit, plane: Path) -> None:  # type: ignore[no-untyped-def]
    seen = visit(plane)
    assert "fingerprints stand in their place" in seen.says("#answers")
    assert "sha256" in seen.says("#detail")
    assert "Certainly" not in seen.page.content()


def test_several_runs_on_one_axis(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folders = []
    for name in ("a", "b"):
        folders.append(judged_runs.write(tmp_path / name, breaking))
        rejudge(folders[-1], ["llm-landscape"])
    seen = visit(write_page(tmp_path / "page.html", [look(one) for one in folders]))
    assert seen.page.locator("#compare .scatterlayer .trace").count() == 4
    seen.page.select_option("#run", "1")
    assert "judge" in seen.says("#compare-legend")


@pytest.mark.parametrize("shape", ["line", "plane"])
def test_hostile_text_executes_nothing(visit, tmp_path: Path, shape: str) -> None:  # type: ignore[no-untyped-def]
    grid = hostile_runs.LINE if shape == "line" else hostile_runs.PLANE
    run = hostile_runs.write(tmp_path / "run", grid)
    seen = visit(write_page(tmp_path / "page.html", [look(run), look(run)], show_text=True))
    page = seen.page
    page.check("#reveal")
    page.check("#everywhere")
    for i in range(25):
        page.keyboard.press("ArrowDown") if i else page.focus("#list")
        assert page.locator("#detail script, #detail img, #detail a, #list img").count() == 0
    page.click("#points summary")
    for view in ("contour", "surface") if shape == "plane" else ():
        page.select_option("#view", view)
        page.mouse.move(400, 500)
        page.wait_for_timeout(300)
    page.fill("#search", "<script>")
    assert "of" in seen.says("#found")
    assert page.locator("main img, main a[href^=javascript]").count() == 0
    assert hostile_runs.NAME in page.inner_text("#first-name")
    assert not seen.hit()


def test_escapes_are_shown_in_the_place_of_controls(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run = hostile_runs.write(tmp_path / "run")
    seen = visit(write_page(tmp_path / "page.html", [look(run)], show_text=True))
    seen.page.check("#reveal")
    seen.page.check("#everywhere")
    seen.page.fill("#search", "lone")
    assert "nul \\x00 bell \\x07 lone \\ud800" in seen.says("#detail .sides")
    seen.page.fill("#search", "gnp")
    assert "\\u202egnp.exe\\u202c" in seen.says("#detail .sides")
    seen.page.fill("#search", "long")
    assert "more characters are in the run folder" in seen.says("#detail")


def test_ten_thousand_answers_are_a_few_rows(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    origin = Plane((Axis("gaussian-0", (0.0, 0.1)),))
    seen = visit(page_of(tmp_path, origin, prompts=10_000, judges=("llm-landscape",)))
    page = seen.page
    assert page.locator("#list .option").count() < 40
    before = seen.busy()
    page.evaluate(
        """async () => {
          for (let i = 0; i < 60; i += 1) {
            document.getElementById("list").scrollTop = i * 13000;
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          }
        }"""
    )
    assert (seen.busy() - before) / 60 < 0.016, "seconds of processor time for a frame"
    assert page.locator("#list .option").count() < 40
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    page.wait_for_selector("#option-9999")


def test_a_large_plane_opens_in_three_seconds(visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    axes = tuple(Axis.symmetric(name, 1.0, 20) for name in ("gaussian-0", "gaussian-1"))
    large = Plane(axes)
    page = page_of(tmp_path, large, prompts=80, show_text=False, judges=("llm-landscape",))
    assert page.stat().st_size < 6_000_000
    assert visit(page).busy() < 3.0, "processor time, since a busy machine stretches the wall's"


@pytest.mark.parametrize("width", [380, 1024, 1920])
@pytest.mark.parametrize("shape", ["line", "plane"])
def test_nothing_is_wider_than_the_screen(visit, line, plane, width: int, shape: str) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line if shape == "line" else plane, width=width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(AXE is None, reason="AXE_CORE does not name axe-core's axe.min.js")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("shape", ["line", "plane"])
def test_axe_finds_nothing_serious(visit, line, plane, shape: str, theme: str) -> None:  # type: ignore[no-untyped-def]
    seen = visit(line if shape == "line" else plane, theme=theme)
    seen.page.click("#points summary")
    seen.page.evaluate(Path(str(AXE)).read_text(encoding="utf-8"))
    found = seen.page.evaluate("axe.run()")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in serious] == []
