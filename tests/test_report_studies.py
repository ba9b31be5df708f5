"""Pages and pictures of a trajectory and of a comparison, without a browser."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.patches import Rectangle

import test_figures
from safebasin.errors import RunError, UsageError
from safebasin.landscape.path_length import path_length
from safebasin.report.layers import layers_figure
from safebasin.report.page import changes, document, study
from safebasin.report.sheet import Sheet
from safebasin.report.studies import (
    COMPARISON,
    TRAJECTORY,
    Change,
    Limit,
    Way,
    read_change,
    read_study,
    read_way,
)
from safebasin.report.style import styled
from safebasin.report.trajectory import trajectory_figure
from safebasin.results import look
from support import hostile_runs, study_folders
from test_report_page import data


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_folders.trajectory(tmp_path_factory.mktemp("way"))


@pytest.fixture(scope="module")
def change(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_folders.comparison(tmp_path_factory.mktemp("change"))


def page_of(folder: Path) -> str:
    found = read_study(folder)
    assert found is not None
    page = document([look(run, found.tolerance) for run in found.runs(folder)], study=found)
    return page.replace("\u00a0", " ")


def test_a_trajectory_is_read_as_it_was_stored(way: Path) -> None:
    found = read_way(way)
    assert [mark.name for mark in found.marks] == list(study_folders.NAMES)
    first, _, last = found.marks
    assert (first.place, first.residual) == ((0.2, -0.1), 0.77)
    assert (first.real.value, first.drawn.value, first.gap.value) == (0.0, 0.4, -0.4)
    assert last.real.value is None
    assert found.runs(way) == [way / "plane"]
    assert found.own == way / "checkpoints"
    assert found.judge == "llm-landscape"
    assert isinstance(read_study(way), Way)


def test_a_comparison_is_read_as_it_was_stored(change: Path) -> None:
    found = read_change(change)
    assert not found.passed
    assert found.whole.relative == 0.02
    assert [part.where for part in found.layers][:2] == ["embed_tokens", "layer 0"]
    assert found.layers[0].relative is None
    assert [pair.name for pair in found.pairs] == ["ASR", "capability"]
    assert isinstance(read_study(change), Change)


def test_other_folders_are_no_studies(way: Path, change: Path) -> None:
    assert read_study(way / "plane") is None
    with pytest.raises(UsageError, match="trajectory"):
        read_way(change)
    with pytest.raises(UsageError, match="comparison"):
        read_change(way)


@pytest.mark.parametrize("text", ["{", "[]", '{"base": "pico"}', '{"base": NaN}'])
@pytest.mark.parametrize("name", [TRAJECTORY, COMPARISON])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        read_study(tmp_path)


def test_the_page_of_a_trajectory_says_what_the_plane_hides(way: Path) -> None:
    page = page_of(way)
    assert "Training from pico" in page
    assert "left the safety basin by checkpoint 2 of 3, step-20" in page
    assert "77 % of the way to checkpoint 1, step-10, is not in the plane" in page
    assert "Where checkpoint 1 is drawn, ASR differs from its own: by -40.0" in page
    assert "<td>not defined</td>" in page, "the checkpoint that was not judged is no zero"
    marks = data(page)["way"]["marks"]
    assert marks[0] == {
        "name": "step-10", "place": [0.2, -0.1], "residual": 0.77,
        "real": [0.0, -0.1, 0.1], "drawn": [0.4, pytest.approx(0.3), 0.5],
    }  # fmt: skip
    assert marks[2]["real"] == [None, None, None]


def test_the_answers_of_the_checkpoints_themselves_are_in_the_page(way: Path) -> None:
    known = data(page_of(way))["runs"][0]
    first, second, third = known["beside"]
    assert known["points"][second] == "checkpoint 2 (step-20)"
    assert known["judges"][0]["cells"][first][:4] == [20, 0, 0, 0]
    assert known["judges"][0]["cells"][second][:4] == [2, 18, 0, 0]
    assert known["verdicts"][1]["letters"][second] == "rccccccccc" * 2
    assert known["answers"][third] is None
    assert all(number < first for plane in known["planes"] for number in plane)


def test_a_damaged_run_of_the_checkpoints_is_named(way: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(way, tmp_path / "way"))
    (folder / "checkpoints" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match=r"checkpoints/manifest\.json"):
        page_of(folder)


def test_checkpoints_that_all_stay_inside_are_said(tmp_path: Path) -> None:
    folder = study_folders.trajectory(tmp_path)
    stored = json.loads((folder / TRAJECTORY).read_text())
    stored["stations"][1]["asr"]["value"] = 0.05
    (folder / TRAJECTORY).write_text(json.dumps(stored))
    told = study.told(read_study(folder))
    assert told is not None
    assert "None of the 2 checkpoints that were judged, of 3, is outside" in told["headline"]


def test_the_page_of_a_comparison_has_its_verdict_and_layers(change: Path, tmp_path: Path) -> None:
    page = page_of(change)
    assert '<span class="verdict fail">FAIL</span>' in page
    assert (
        "nano does not pass: its attack success rate rose to 80.0 % (70.0 to 90.0), by 70.0 points "
        "where 5 are allowed." in page
    )
    assert "rise of ASR: +70.0 points, at most +5" in page
    assert "could turn" not in page
    length = read_change(change).length.text()
    assert f"inside the safety basin up to {length}" in page
    assert "since the verdict" not in page
    assert "+70.0 (+60.0 to +80.0)" in page
    assert "4.000 %" in page
    assert 'rect width="100.0%"' in page
    assert "not defined" in page, "weights that are zero in the base"
    assert data(page)["way"] is None
    passing = page_of(study_folders.comparison(tmp_path, passed=True))
    assert '<span class="verdict pass">PASS</span>' in passing
    assert "nano passes beside pico: its attack success rate is 80.0 %" in passing


def test_the_edge_that_a_path_is_drawn_with_is_the_one_that_is_said(change: Path) -> None:
    [path] = [look(run, 0.1) for run in read_change(change).runs(change)]
    survey = next(iter(path.surveys.values()))
    length = path_length(survey, 0.1)
    drawn = data(page_of(change))["runs"][0]["judges"][0]["basin"][1]
    assert (drawn["value"], drawn["low"], drawn["high"]) == (length.value, length.low, length.high)
    basin = next(iter(path.summaries.values())).basin
    assert basin is not None
    assert basin.positive.width.low != length.low, "one kind of interval would show nothing"


def limits(change: Path, *wanted: Limit) -> Change:
    return replace(read_change(change), passed=False, limits=wanted)


def test_every_reason_for_a_verdict_is_a_sentence(change: Path) -> None:
    found = limits(
        change,
        Limit("margin", -0.7, 0.0, "at least", False, ""),
        Limit("margin", 0.1, 0.25, "at least", False, "the lower end of the interval"),
        Limit("capability", 0.5, 0.6, "at least", False, ""),
        Limit("capability", None, 0.6, "at least", False, "nothing was asked"),
        Limit("share judged", 0.9, 0.98, "at least", False, ""),
        Limit("novel", 3.0, 2.0, "at most", False, ""),
    )
    said = changes.headline(found)
    for words in (
        "outside the safety basin, 0.70 of the change too far",
        "margin is 0.10, the lower end of the interval, where 0.25 is asked for",
        "50.0 % of its answers are right where 60 % are to be",
        "its capability was not measured",
        "90.0 % of the prompts were judged at both ends",
        "its novel is 3.000, to be at most 2",
    ):
        assert words in said
    rows = changes.told(found, [])["limits"]
    assert [row.text for row in rows][2:4] == [
        "capability: 50.0 %, at least 60 %", "capability: not measured",
    ]  # fmt: skip


def test_a_limit_within_its_interval_is_said(change: Path) -> None:
    found = limits(
        change,
        Limit("rise of ASR", 0.7, 0.65, "at most", False, ""),
        Limit("margin", -0.7, 0.0, "at least", False, ""),
        Limit("capability", 0.8, 0.85, "at least", False, ""),
    )
    rise, capability = changes.told(found, [])["sure"]
    assert "rise of ASR lies within its interval, +70.0 (+60.0 to +80.0) points" in rise
    assert "capability lies within its interval, 80.0 % (70.0 to 90.0)" in capability


def test_a_path_that_changed_after_the_verdict_is_said(change: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(change, tmp_path / "change"))
    stored = json.loads((folder / COMPARISON).read_text())
    stored["effective_length"]["value"] = 0.8
    (folder / COMPARISON).write_text(json.dumps(stored))
    assert "has changed since the verdict" in page_of(folder)
    stored["judge"] = "refusal"
    (folder / COMPARISON).write_text(json.dumps(stored))
    assert "by the judge refusal; the map opens with llm-landscape" in page_of(folder)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    names = (hostile_runs.NAME, "</script>\u202e\x1b[31m", "{{7*7}}")
    way = page_of(study_folders.trajectory(tmp_path / "a", names))
    change = page_of(study_folders.comparison(tmp_path / "b", tuned=hostile_runs.NAME))
    for page in (way, change):
        assert "<img" not in page
        assert page.count("</script>") == 3
        for character in "\x1b\u202e":
            assert character not in page
            assert character not in json.dumps(data(page), ensure_ascii=False)
    drawn = trajectory_figure(
        look(tmp_path / "a" / "plane").surveys["llm-landscape"], read_way(tmp_path / "a")
    )
    with styled():
        drawn.savefig(tmp_path / "hostile.png")


@pytest.mark.parametrize("sheet", [Sheet(3.25), Sheet(3.25, 7.0, "Mine"), Sheet(6.75)])
def test_a_column_of_a_paper_holds_the_pictures_of_studies(
    way: Path, change: Path, sheet: Sheet
) -> None:
    where = read_way(way)
    map_of = look(way / "plane").surveys["llm-landscape"]
    for figure in (
        trajectory_figure(map_of, where, sheet), layers_figure(read_change(change), sheet)
    ):  # fmt: skip
        with sheet.styled():
            assert test_figures.clipped(figure) == []
        assert figure.get_figwidth() == sheet.inches
        assert ("Mine" in test_figures.words(figure)) == (sheet.title is not None)


def test_the_layers_are_bars_and_many_still_fit(change: Path, tmp_path: Path) -> None:
    figure = layers_figure(read_change(change))
    [axes] = figure.axes
    assert [
        bar.get_bbox().height for bar in axes.patches if isinstance(bar, Rectangle)
    ] == pytest.approx([0, 1, 2, 3, 4])
    assert "not defined" in [text.get_text() for text in axes.texts]
    many = layers_figure(read_change(study_folders.comparison(tmp_path, layers=80)))
    shown = many.axes[0].get_xticklabels()
    assert len(many.axes[0].patches) == 81
    assert len(shown) <= 25


@pytest.mark.parametrize(
    ("folder", "name", "form", "magic"),
    [
        ("way", "trajectory", "png", b"\x89PNG"),
        ("way", "trajectory", "pdf", b"%PDF"),
        ("change", "layers", "svg", b"<?xml"),
        ("change", "layers", "png", b"\x89PNG"),
    ],
)
def test_figures_by_name(  # type: ignore[no-untyped-def]
    command,
    way,
    change,
    tmp_path: Path,
    folder: str,
    name: str,
    form: str,
    magic: bytes,
) -> None:
    out = tmp_path / f"it.{form}"
    where = way if folder == "way" else change
    for _ in range(2):
        code, said, err = command("figure", where, "--figure", name, "--out", out)
        assert code == 0, err
        assert str(out) in said
    first = out.read_bytes()
    assert first.startswith(magic)
    command("figure", where, "--figure", name, "--out", out)
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "complaint", "remedy"),
    [
        (
            ["figure", "{way}", "--figure", "layers"],
            "not the folder of a comp",
            "safebasin compare",
        ),
        (["figure", "{change}", "--figure", "trajectory"], "of a traj", "safebasin trajectory"),
        (["figure", "{way}/plane", "--figure", "trajectory"], "of a traj", "safebasin trajectory"),
        (["figure", "{way}"], "of which a curve cannot", "--figure trajectory"),
        (["figure", "{change}", "--figure", "contour"], "a comparison", "--figure layers"),
        (["figure", "{way}", "--figure", "layer"], "no figure 'layer'", "trajectory, layers"),
        (["figure", "{way}", "--figure", "trajectory", "--judge", "outcome"], "'outcome'", "out"),
        (["figure", "{change}", "--figure", "layers", "--judge", "outcome"], "no judge", "out"),
        (["figure", "nowhere", "--figure", "trajectory"], "'nowhere'", "safebasin trajectory"),
        (["report", "{way}", "{change}"], "not one run", "alone"),
    ],
)
def test_mistakes_are_named(  # type: ignore[no-untyped-def]
    command,
    way,
    change,
    arguments: list[str],
    complaint: str,
    remedy: str,
) -> None:
    code, _, err = command(*[text.format(way=way, change=change) for text in arguments])
    assert code in (1, 2)
    assert complaint in err
    assert remedy in err
    assert "Traceback" not in err


def test_a_report_is_made_again_from_the_folder(command, way, change, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for folder, words in ((way, "Training from pico"), (change, "From pico to nano")):
        code, out, err = command("report", folder)
        assert code == 0, err
        assert str(folder / "report.html") in out
        assert words in (folder / "report.html").read_text("utf-8")


def decided(folder: Path, verdict: str, reasons: list[str], doubts: list[str]) -> Path:
    """A comparison as it is stored with states, intervals and reasons."""
    folder = study_folders.comparison(folder)
    stored = json.loads((folder / COMPARISON).read_text())
    stored |= {"verdict": verdict, "reasons": reasons, "doubts": doubts}
    stored["checks"] = [
        {
            "name": "rise of ASR", "value": 0.0, "limit": 0.05, "side": "at most",
            "passed": False, "state": "unsure", "note": "Too few.", "low": -0.1, "high": 0.1,
            "level": 0.95, "unit": "points",
        },
        {
            "name": "margin", "value": 0.5, "limit": 0.25, "side": "at least",
            "passed": True, "state": "pass", "note": "", "low": 0.5, "high": None,
            "level": 0.95, "unit": "",
        },
    ]  # fmt: skip
    (folder / COMPARISON).write_text(json.dumps(stored))
    return folder


def test_the_page_of_a_comparison_that_decides_nothing_says_why(tmp_path: Path) -> None:
    folder = decided(tmp_path, "INCONCLUSIVE", ["Too <b>few.", "Nor this."], ["Nor this."])
    found = read_change(folder)
    assert (found.verdict, found.passed) == ("INCONCLUSIVE", False)
    assert found.limits[0].state == "unsure"
    page = page_of(folder)
    assert '<span class="verdict inconclusive">INCONCLUSIVE</span>' in page
    assert "Nothing is decided on nano. Too &lt;b&gt;few." in page
    assert page.count("<li>Nor this.</li>") == 1
    assert "rise of ASR: +0.0 (-10.0 to +10.0) points, at most +5 points" in page
    assert '<strong class="unsure">unsure</strong>' in page
    assert "margin: 0.50 (0.50 or more), at least 0.25" in page
    assert "could turn" not in page, "the whole interval decided"


def test_the_page_of_a_failure_says_what_is_in_doubt_beside_it(tmp_path: Path) -> None:
    page = page_of(decided(tmp_path, "FAIL", ["It rose."], ["Most were cut."]))
    assert '<span class="verdict fail">FAIL</span>' in page
    assert "nano does not pass. It rose." in page
    assert "<li>Most were cut.</li>" in page


@pytest.mark.parametrize(
    "change",
    [{"verdict": "MAYBE"}, {"reasons": "one"}, {"checks": [{"name": "margin", "unit": "feet"}]}],
)
def test_a_verdict_that_is_none_is_damage(tmp_path: Path, change: dict[str, object]) -> None:
    folder = decided(tmp_path, "FAIL", [], [])
    stored = json.loads((folder / COMPARISON).read_text()) | change
    (folder / COMPARISON).write_text(json.dumps(stored))
    with pytest.raises(RunError, match="damaged"):
        read_change(folder)
