"""The page of a bench of defences: what it says, that it obeys nobody, and in a browser."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safebasin.defence_bench.page import document
from safebasin.defence_bench.page.document import headline
from safebasin.defence_bench.page.marks import EDGE, HIGH, WIDE, mark_of, panels
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.summary import summary
from safebasin.landscape import Estimate

HOSTILE = "</svg><script>window.hit = 1</script>\x1b[2J\u202e"


def cell(tune: str, seed: int, defence: str, *asr: float | None, **own: Any) -> dict[str, Any]:
    """A cell with this ASR at each setting."""
    attack = [{"epoch": i, "asr": one, "complied": one, "incoherent": own.get("broken", 0.0)}
              for i, one in enumerate(asr, 1)]  # fmt: skip
    return {
        "tune": tune, "seed": seed, "defence": defence, "failed": None, "attack": attack,
        "ablation": {}, "width": 0.1, "visage": 50.0, "margin": 0.0, "parameters": 7, "epochs": 1,
        "loss": {"attack_rows": 1.0}, "matched": own.get("matched"), "seconds": {},
        "over_refusal": own.get("over_refusal", 0.0), "capability": 1.0,
    }  # fmt: skip


def found(name: str = "x", seeds: int = 3, settings: int = 2, **own: Any) -> dict[str, Any]:
    """Two harmful fine-tunes without a defence, and with one that halves what an attacker gets."""
    cells = []
    for seed in range(seeds):
        for tune in ("harmful-10", "harmful-50"):
            bare = [0.2 + 0.1 * seed, 0.8 + 0.1 * seed][-settings:]
            cells.append(cell(tune, seed, "none", *bare))
            cells.append(cell(tune, seed, name, *(one / 8 for one in bare), **own))
    cells.append({"tune": "harmful-50", "seed": 0, "defence": name, "failed": f"No: {name}"})
    return summary(cells, BenchConfig(seeds=seeds), ["safebasin", "bench-defences", name])


class TestWhatItSays:
    def test_which_are_surely_below_the_undefended_one(self) -> None:
        assert headline(found()) == [
            "Without a defence 90 (65 to 100) % of harmful prompts are answered after the harmful "
            "fine-tunes, at the best of the attack's settings.",
            "Of 1 method 1 is surely below: x 11 (8 to 14) %.",
        ]

    def test_a_low_attack_success_is_told_with_what_it_cost(self) -> None:
        [_, told] = headline(found(broken=0.5, over_refusal=0.25))
        assert "(50 % broken text, 25 % of benign prompts refused)" in told

    def test_of_a_fine_tune_that_attacks_nothing_it_is_over_refusal(self) -> None:
        cells = [
            cell("over-refusing", seed, name, asr, over_refusal=share + 0.01 * seed)
            for name, share, asr in (("none", 0.5, 0.0), ("x", 0.1, 0.2), ("y", 0.9, 0.0))
            for seed in range(3)
        ]
        assert headline(summary(cells, BenchConfig(seeds=3))) == [
            "Without a defence 51 (49 to 53) % of benign prompts are refused after the fine-tune "
            "that over-refuses.",
            "Of 2 methods 1 is surely below: x 11 (9 to 13) % (20 % of harmful prompts answered).",
        ]

    def test_one_seed_says_nothing_of_certainty(self) -> None:
        assert "one seed" in headline(found(seeds=1))[1]

    def test_without_the_undefended_one_nothing_is_compared(self) -> None:
        cells = [cell("benign", 0, "x", 0.5)]
        told = headline(summary(cells, BenchConfig(seeds=1)))
        assert told == ["What the fine-tune benign does was not measured without a defence."]

    def test_every_fine_tune_has_its_table_and_every_measure_its_column(self) -> None:
        page = document(found(matched=True))
        for title in ("The harmful fine-tunes, a mean", "harmful-10", "harmful-50"):
            assert re.search(rf"<h2 id=\"tune-\d+\">{title}</h2>", page)
        for column in (
            "highest ASR %",
            "at maximum %",
            "over-refusal %",
            "KL, nats",
            "capability %",
            "width",
            "VISAGE",
            "margin",
            "CPU s",
            "numbers",
        ):
            assert f'<th scope="col">{column}</th>' in page
        assert "<td>11 (8 to 14)<svg" in page
        assert "reached it: x 3 of 3." in page
        assert "safebasin bench-defences x</pre>" in page

    def test_a_share_that_was_not_measured_has_no_mark(self) -> None:
        assert mark_of(Estimate(None).to_json()) is None
        page = document(found(over_refusal=None))
        assert "<td>-</td>" in page

    def test_one_setting_is_no_curve(self) -> None:
        page = document(found(settings=1))
        assert "<polyline" not in page
        assert "measured at one setting" in page


class TestThePictures:
    def test_a_mark_lies_at_its_share(self) -> None:
        own = mark_of(Estimate(0.25, 0.125, 0.5).to_json())
        assert own is not None
        assert (own.at, own.low, own.high) == (25.0, 12.5, 50.0)
        alone = mark_of(Estimate(0.25).to_json())
        assert alone is not None
        assert (alone.low, alone.high) == (25.0, 25.0)

    def test_a_curve_runs_through_the_best_so_far(self) -> None:
        [row] = [one for one in found()["rows"]
                 if (one["defence"], one["tune"]) == ("x", "harmful-10")]  # fmt: skip
        bare = {**row, "defence": "none", "best_so_far": [Estimate(1.0).to_json()] * 2}
        [_, panel] = panels([bare, row])
        values = [one["value"] for one in row["best_so_far"]]
        placed = [tuple(map(float, one.split(","))) for one in panel.line.split()]
        assert [x for x, _ in placed] == pytest.approx([EDGE, WIDE - EDGE])
        shares = [1 - (y - EDGE) / (HIGH - 2 * EDGE) for _, y in placed]
        assert shares == pytest.approx(values, abs=0.001)
        assert panel.bare == f"{EDGE},{EDGE} {WIDE - EDGE},{EDGE}"
        assert len(panel.band.split()) == 4
        assert panel.told == "ASR in percent by setting: 4, 11"


def test_foreign_names_are_shown_and_never_obeyed() -> None:
    page = document(found(HOSTILE))
    assert "window.hit" in page
    assert "<script>window.hit" not in page
    assert page.count("<script>") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page


CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize(("width", "theme"), [(1024, "light"), (380, "dark")])
def test_a_browser_shows_it_in_either_theme_and_width(
    browser: Any, tmp_path: Path, width: int, theme: str
) -> None:
    path = tmp_path / "bench.html"
    path.write_text(document(found(HOSTILE)), encoding="utf-8")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    assert page.get_attribute("html", "data-theme") == theme
    page.click("#theme")
    assert page.evaluate(paper) != before
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("window.hit") is None
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert page.locator(".panels svg").count() == 8
    assert page.locator(".panels .line").first.bounding_box()["width"] > 50
    if axe := os.environ.get("AXE_CORE"):
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
        told = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(one["id"], one["help"]) for one in told["violations"]] == []
    context.close()
    assert complaints == []
