"""`safebasin report` and `figure` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from safebasin.plane import Axis, Plane, Point
from safebasin.results import rejudge
from support import judged_runs


def breaking(point: Point, n: int) -> str:
    return judged_runs.REFUSAL if point.distance < 0.15 else judged_runs.COMPLIANCE


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    axes = tuple(Axis.symmetric(name, 0.2, 2) for name in ("x", "y"))
    line = judged_runs.write(folder / "line", breaking)
    plane = judged_runs.write(folder / "plane", breaking, plane=Plane(axes))
    for run in (line, plane):
        rejudge(run, ["llm-landscape", "outcome"])
    bare = judged_runs.write(folder / "bare", breaking)
    return {"line": line, "plane": plane, "bare": bare}


def test_a_report_of_one_run_and_of_several(command, runs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = command("report", runs["line"])
    assert code == 0, err
    assert str(runs["line"] / "report.html") in out
    both = tmp_path / "both.html"
    code, out, err = command("report", runs["line"], runs["plane"], "--out", both)
    assert code == 0, err
    assert "The runs on one axis" in both.read_text("utf-8")


def test_a_report_of_the_folder_of_conditions_shows_its_runs(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("none-1", "safety-2"):
        rejudge(judged_runs.write(tmp_path / name, breaking), ["llm-landscape"])
    (tmp_path / "conditions.json").write_text("{}")
    code, out, err = command("report", tmp_path)
    assert code == 0, err
    assert str(tmp_path / "report.html") in out
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "pico (none-1)" in page
    assert "pico (safety-2)" in page


def test_texts_only_when_asked_for(command, runs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = command("report", runs["line"], "--show-text", "--out", tmp_path / "texts.html")
    assert code == 0
    assert "may be harmful" in out
    assert "Show the texts" in (tmp_path / "texts.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint", "remedy"),
    [
        (["report", "{line}", "{line}"], "given twice", "once"),
        (["report", "{bare}"], "no verdicts", "rejudge"),
        (["report", "nowhere"], "not a run folder", "safebasin scan"),
        (["report", "{line}", "--out", "nowhere/x.html"], "no folder 'nowhere'", "--out"),
        (["figure", "{line}", "--figure", "cruve"], "no figure 'cruve'", "curve, contour"),
        (["figure", "{line}", "--figure", "surface"], "of a line", "curve or shares"),
        (["figure", "{plane}", "--figure", "curve"], "of a plane", "contour or surface"),
        (["figure", "{line}", "--format", "gif"], "'gif'", "png, svg, pdf"),
        (["figure", "{line}", "--format", "png", "--out", "x.pdf"], "'x.pdf'", "agree"),
        (["figure", "{plane}", "--figure", "contour", "--plane", "2"], "plane 2", "--plane 1"),
        (["figure", "{line}", "--judge", "nobody"], "'nobody'", "llm-landscape"),
        (["watch", "{line}", "--every", "0"], "0.0 s", "--every 0.2"),
    ],
)
def test_mistakes_are_named(  # type: ignore[no-untyped-def]
    command, runs, arguments: list[str], complaint: str, remedy: str
) -> None:
    code, _, err = command(*[text.format(**runs) for text in arguments])
    assert code in (1, 2)
    assert complaint in err
    assert remedy in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("run", "name", "form", "magic"),
    [
        ("line", "curve", "png", b"\x89PNG"),
        ("line", "shares", "svg", b"<?xml"),
        ("plane", "contour", "pdf", b"%PDF"),
        ("plane", "surface", "png", b"\x89PNG"),
        ("plane", "shares", "pdf", b"%PDF"),
    ],
)
def test_figures_by_name(  # type: ignore[no-untyped-def]
    command, runs, tmp_path: Path, run: str, name: str, form: str, magic: bytes
) -> None:
    out = tmp_path / f"it.{form}"
    code, said, err = command("figure", runs[run], "--figure", name, "--out", out)
    assert code == 0, err
    assert str(out) in said
    first = out.read_bytes()
    assert first.startswith(magic)
    command("figure", runs[run], "--figure", name, "--out", out)
    assert out.read_bytes() == first, "the same picture gives the same bytes"


def test_a_figure_for_a_column(command, runs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    out = tmp_path / "it.png"
    asked = ("--width", 3.25, "--font-size", 7, "--title", "Mine & yours", "--out", out)
    for run, name in (("line", "curve"), ("plane", "surface")):
        code, _, err = command("figure", runs[run], "--figure", name, *asked)
        assert code == 0, err
        with Image.open(out) as picture:
            assert picture.width == 975, "3.25 inches of 300 dots"
    svg = out.with_suffix(".svg")
    angles = ("--elevation", 30, "--azimuth", 200)
    code, _, err = command(
        "figure", runs["plane"], "--figure", "surface", *asked[:-1], svg, *angles
    )
    assert code == 0, err
    assert "Mine &amp; yours</text>" in svg.read_text(encoding="utf-8")
    code, _, err = command("figure", runs["plane"], "--figure", "contour", *angles)
    assert (code, "A contour is not seen from an angle" in err) == (2, True)
    code, _, err = command("figure", runs["line"], "--width", 1)
    assert (code, "width of a picture is 1 inches" in err) == (2, True)


def test_a_figure_lies_beside_the_others_by_default(command, runs) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = command("figure", runs["line"], "--format", "pdf")
    assert code == 0
    assert (runs["line"] / "figures" / "curve.pdf").exists()
    assert "curve.pdf" in out


def test_shares_need_a_judge_that_tells_them_apart(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run = judged_runs.write(tmp_path / "run", breaking)
    rejudge(run, ["llm-landscape"])
    code, _, err = command("figure", run, "--figure", "shares")
    assert code == 2
    assert "rejudge" in err
