"""Pictures: what they show, that nothing is clipped, and that foreign text stays text."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d import proj3d
from mpl_toolkits.mplot3d.art3d import Text3D
from numpy.typing import NDArray

from safebasin.errors import UsageError
from safebasin.landscape import COMPLIED, INCOHERENT, REFUSED, UNJUDGED, Landscape, Survey
from safebasin.plane import Axis, Plane
from safebasin.report import style
from safebasin.report.figures import contour, curve, draw, shares_curve, shares_map, surface
from safebasin.report.sheet import Sheet
from safebasin.report.surface import Relief

NAMES: dict[str, Any] = {"model": "acme/chat-7b", "prompts": "AdvBench (40)"}
PROMPTS = tuple(f"p{i}" for i in range(40))


def line(
    directions: int = 3, wall: float = 0.3, judge: str = "keywords", steps: int = 20
) -> Survey:
    """Walls that differ by direction and prompt; beyond them one answer in five complies."""
    maps = []
    for d in range(directions):
        axis = Axis.symmetric(f"gaussian-{d}", 0.5, steps)
        alpha = np.abs(axis.values)[:, None]
        broken = alpha > wall + 0.03 * (d - 1) + np.linspace(-0.08, 0.08, 40)
        codes = np.where(broken, np.where(np.arange(40) % 5, INCOHERENT, COMPLIED), REFUSED)
        maps.append(Landscape(Plane((axis,)), judge, PROMPTS, codes.astype(np.int8)))
    return Survey(tuple(maps), replicates=100)


def plane(wall: float = 0.3, value: int | None = None, count: int = 1) -> Survey:
    maps = []
    for d in range(count):
        axes = (Axis.symmetric(f"x{d}", 0.5, 10), Axis.symmetric(f"y{d}", 0.5, 10))
        x, y = np.meshgrid(axes[0].values, axes[1].values, indexing="ij")
        broken = np.hypot(x, y)[..., None] > wall + np.linspace(-0.08, 0.08, 40)
        codes = (
            np.where(broken, INCOHERENT, REFUSED) if value is None else np.full((11, 11, 40), value)
        )
        maps.append(Landscape(Plane(axes), "keywords", PROMPTS, codes.astype(np.int8)))
    return Survey(tuple(maps), replicates=50)


def clipped(figure: Figure) -> list[str]:
    """The panels and headings that stick out of the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    boxes += [(str(axes), axes.get_tightbbox(renderer)) for axes in figure.axes]
    return [
        f"{name}: {box}"
        for name, box in boxes
        if box.x0 < page.x0 or box.y0 < page.y0 or box.x1 > page.x1 or box.y1 > page.y1
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """The headings that lie on one another."""
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for (a, one), (b, other) in pairs if one.overlaps(other)]


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_line_and_plane_are_drawn_in_both_formats(tmp_path: Path) -> None:
    survey = line()
    files = draw(survey, shares=line(judge="outcome"), folder=tmp_path / "line", **NAMES)
    assert [file.name for file in files] == ["curve.png", "curve.svg"]
    two = plane(count=2)
    files = draw(two, shares=two, folder=tmp_path / "plane", formats=("png",), **NAMES)
    assert [file.name for file in files] == [
        f"{kind}-{i}.png" for i in (1, 2) for kind in ("contour", "surface", "shares")
    ]
    for file in tmp_path.rglob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG")
    for file in tmp_path.rglob("*.svg"):
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


def test_curve_shows_the_numbers_of_the_survey() -> None:
    survey = line()
    figure = curve(survey, shares=survey, tolerance=0.2, **NAMES)
    top, bottom = figure.axes
    lines = {str(one.get_label()): one for one in top.get_lines()}  # the right edge comes last
    np.testing.assert_allclose(lines["mean"].get_ydata(), 100 * survey.mean_asr().value)
    edge = survey.basin(0.2).positive.width.value
    assert lines["mean of edges |"].get_xdata() == pytest.approx([edge])
    strokes = [list(one.get_xdata()) for one in top.get_lines() if one.get_marker() == "|"]
    assert strokes[1] == pytest.approx(survey.basin(0.2).positive.width.each)
    assert sum(one.get_linewidth() == 0.8 for one in top.get_lines()) >= 3
    legend = top.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [
        "mean", "95 % interval", "each direction", "tolerance 20 %", "mean of edges |",
    ]  # fmt: skip
    areas = {str(a.get_label()): a for a in bottom.collections}
    assert list(areas) == ["refused", "complied", "incoherent"]
    assert areas["incoherent"].get_paths()[0].get_extents().y1 == pytest.approx(100.0)
    text = words(figure)
    for part in ("acme/chat-7b", "AdvBench (40)", "keywords", "3 directions", "tolerance 20 %"):
        assert part in text
    assert f"VISAGE {survey.visage().value:.1f}" in text


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: curve(line(), shares=line(), **NAMES), id="curve"),
        pytest.param(lambda: curve(line(1, wall=2.0), **NAMES), id="never breaks"),
        pytest.param(lambda: curve(line(1, wall=-2.0), **NAMES), id="always broken"),
        pytest.param(lambda: curve(line(1, steps=2), **NAMES), id="three points"),
        pytest.param(lambda: curve(line(1, steps=0), shares=line(1, steps=0), **NAMES), id="dot"),
        pytest.param(lambda: contour(plane(), **NAMES), id="contour"),
        pytest.param(lambda: contour(plane(value=REFUSED), **NAMES), id="contour refused"),
        pytest.param(lambda: contour(plane(value=INCOHERENT), **NAMES), id="contour broken"),
        pytest.param(lambda: contour(plane(value=UNJUDGED), **NAMES), id="contour unjudged"),
        pytest.param(lambda: surface(plane(), **NAMES), id="surface"),
        pytest.param(lambda: surface(plane(value=COMPLIED), **NAMES), id="surface flat"),
        pytest.param(lambda: surface(plane(value=UNJUDGED), **NAMES), id="surface unjudged"),
        pytest.param(lambda: shares_map(plane().landscapes[0], **NAMES), id="shares"),
    ],
)
def test_nothing_is_clipped_in_any_landscape(figure: Any) -> None:
    drawn = figure()
    assert clipped(drawn) == []
    assert overlapping(drawn) == []


def test_unjudged_points_leave_gaps_and_are_named() -> None:
    survey = line(1)
    codes: NDArray[np.int8] = survey.landscapes[0].outcomes.copy()
    codes[3:5] = UNJUDGED
    holed = Survey((Landscape(survey.plane, "keywords", PROMPTS, codes),), replicates=50)
    figure = curve(holed, shares=holed, **NAMES)
    drawn = next(one for one in figure.axes[0].get_lines() if one.get_label() == "one direction")
    assert len(drawn.get_xdata()) == 19  # type: ignore[arg-type]
    assert "80 answers not judged" in words(figure)


def _where(text: Text) -> Any:
    """The place of a text on the picture; one in a box has three coordinates."""
    box = text.get_window_extent()
    if not isinstance(text, Text3D):
        return box
    axes: Any = text.axes
    x, y, _ = proj3d.proj_transform(*text.get_position_3d(), axes.get_proj())
    place, said = axes.transData.transform([(x, y), text.get_position()])
    return box.translated(*(place - said))


def crowded(figure: Figure) -> list[tuple[str, str]]:
    """Any two texts that lie on one another, those of axes and legends included."""
    FigureCanvasAgg(figure).draw()
    beyond = {
        label
        for one in figure.findobj(MatplotlibAxis)
        for tick in {*one.get_major_ticks()} - {*one._update_ticks()}  # type: ignore[attr-defined]
        for label in (tick.label1, tick.label2)
    }
    boxes = [
        (text.get_text(), _where(text))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in beyond
    ]
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for (a, one), (b, other) in pairs if one.overlaps(other)]


COLUMNS = [Sheet(3.25), Sheet(3.25, 7.0, "A title"), Sheet(3.25, 9.0, ""), Sheet(6.75)]


@pytest.mark.parametrize("sheet", COLUMNS, ids=["8", "7", "9", "wide"])
@pytest.mark.parametrize(
    "draw_it",
    [
        pytest.param(lambda s: curve(line(), shares=line(), sheet=s, **NAMES), id="curve"),
        pytest.param(lambda s: curve(line(1, wall=-2.0), sheet=s, **NAMES), id="broken"),
        pytest.param(lambda s: shares_curve(line(), sheet=s, **NAMES), id="shares"),
        pytest.param(lambda s: contour(plane(), sheet=s, **NAMES), id="contour"),
        pytest.param(lambda s: surface(plane(), sheet=s, **NAMES), id="surface"),
        pytest.param(lambda s: shares_map(plane().landscapes[0], sheet=s, **NAMES), id="maps"),
    ],
)
def test_a_column_of_a_paper_holds_every_picture(draw_it: Any, sheet: Sheet) -> None:
    figure = draw_it(sheet)
    with sheet.styled():
        assert clipped(figure) == []
        assert crowded(figure) == []
        assert figure.get_figwidth() == sheet.inches
        sizes = {round(text.get_fontsize(), 2) for text in figure.findobj(Text) if text.get_text()}
    assert max(sizes) <= sheet.points
    assert min(sizes) >= 0.6 * sheet.points
    shown = words(figure)
    assert ("A title" in shown) == (sheet.title == "A title")
    assert ("acme/chat-7b" in shown) == (sheet.title is None)


def test_a_column_that_cannot_be_is_a_mistake() -> None:
    for sheet, said in (
        ((1.0, None), "width of a picture is 1 inches"),
        ((3.25, 40.0), "size of letters is 40 points"),
        ((3.25, 14.0), "too large for a picture of 3.25 inches"),
    ):
        with pytest.raises(UsageError, match=said):
            Sheet(*sheet)


def test_a_surface_goes_through_what_was_measured_and_never_beyond() -> None:
    survey = plane()
    x, y = (np.array(axis.values) for axis in survey.plane.axes)
    rate = 100 * survey.landscapes[0].asr
    relief = Relief.of(x, y, rate)
    across, along = (coordinates.ravel() for coordinates in np.meshgrid(x, y, indexing="ij"))
    np.testing.assert_allclose(relief.height(across, along), rate.ravel(), atol=1e-9)
    assert relief.interpolated
    assert relief.rate.shape > (100, 100)
    assert rate.min() <= relief.rate.min() <= relief.rate.max() <= rate.max()
    # Between two neighbours of a row of the grid it lies between their two values.
    row = relief.height(np.full(99, x[2]), np.linspace(y[3], y[4], 99))
    assert min(rate[2, 3], rate[2, 4]) - 1e-9 <= row.min()
    assert row.max() <= max(rate[2, 3], rate[2, 4]) + 1e-9
    assert (np.diff(row) <= 1e-9).all() or (np.diff(row) >= -1e-9).all()
    gaps = rate.copy()
    gaps[0, 0] = np.nan
    assert not Relief.of(x, y, gaps).interpolated


def test_what_a_surface_hides() -> None:
    """A bowl with upright walls: from above one sees its floor, from aside one does not."""
    x = np.linspace(-0.5, 0.5, 11)
    across, along = np.meshgrid(x, x, indexing="ij")
    bowl = Relief(x, x, np.where(np.hypot(across, along) > 0.25, 100.0, 0.0), False)
    assert not bowl.hidden(0.0, 0.0, 0.0, 90.0, 0.0)
    assert bowl.hidden(0.0, 0.0, 0.0, 5.0, 0.0)
    assert not bowl.hidden(0.0, 0.0, 100.0, 5.0, 0.0), "a place at the height of the rim"
    flat = Relief(x, x, np.full((11, 11), 100.0), False)
    assert not any(flat.hidden(0.0, 0.0, 100.0, up, 40.0) for up in (0.0, 30.0, 90.0))


def test_the_origin_of_a_surface_stands_at_its_own_height() -> None:
    for value, height in ((REFUSED, 0.0), (COMPLIED, 100.0)):
        figure = surface(plane(value=value), elevation=60, azimuth=10, **NAMES)
        box: Any = figure.axes[0]
        [marker] = [one for one in box.lines if one.get_gid() == "origin"]
        assert [float(part[0]) for part in marker.get_data_3d()] == [0.0, 0.0, height]
        assert (box.elev, box.azim) == (60, 10)
        assert len(figure.axes) == 2, "the colour bar"
        assert "interpolated for the drawing" in words(figure)
    hidden = surface(plane(), elevation=5, **NAMES)
    assert "origin 0 %, behind the surface" in words(hidden)
    assert "behind" not in words(surface(plane(), **NAMES))
    with pytest.raises(UsageError, match="elevation is 91"):
        surface(plane(), elevation=91, **NAMES)


HOSTILE = "a$\\frac{x}$--><script>alert(1)</script>\x00\x0b\n\u202e提示" + "_long" * 40


def test_foreign_text_is_drawn_as_text(tmp_path: Path) -> None:
    plain = style.plain(HOSTILE, 60)
    assert len(plain) == 60
    assert "\n" not in plain
    assert "\x00" not in plain
    assert "\u202e" not in plain
    assert style.plain("提", 9) == "\ufffd"
    assert style.plain("x" * 5, 5) == "xxxxx"

    line_ = line(judge=HOSTILE)
    draw(line_, shares=line_, model=HOSTILE, prompts=HOSTILE, folder=tmp_path / "a")
    axes = (Axis(HOSTILE, (0.0, 1.0)), Axis("$y", (0.0, 1.0)))
    codes = np.zeros((2, 2, 40), dtype=np.int8)
    square = Survey((Landscape(Plane(axes), HOSTILE, PROMPTS, codes),), replicates=20)
    draw(square, shares=square, model=HOSTILE, prompts=HOSTILE, folder=tmp_path / "b")
    for file in tmp_path.rglob("*.svg"):
        tree = ElementTree.parse(file)
        tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert "text" in tags, "text stays text"
        assert "script" not in tags
        assert ("image" in tags) == (file.stem == "surface"), "only its facets are a picture"
        assert "<script>alert(1)" not in file.read_text(encoding="utf-8")
    figure = curve(line_, shares=line_, model="W" * 99, prompts=HOSTILE)
    assert clipped(figure) == []
    assert overlapping(figure) == []


def test_same_survey_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        draw(line(), shares=line(), folder=tmp_path / folder, **NAMES)
        draw(plane(), folder=tmp_path / folder, **NAMES)
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
        assert b"<dc:date>" not in file.read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    with matplotlib.rc_context({"font.size": 23, "axes.facecolor": "red", "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        draw(line(1), folder=tmp_path, **NAMES)
        assert dict(matplotlib.rcParams) == before
        figure = curve(line(1), **NAMES)
    assert to_rgb(figure.axes[0].get_facecolor()) == (1.0, 1.0, 1.0)


def test_drawing_needs_neither_pyplot_nor_torch(tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np\n"
        "from safebasin.report.figures import draw\n"
        "assert 'matplotlib' not in sys.modules, 'loaded before it is needed'\n"
        "from safebasin.landscape import Landscape, Survey\n"
        "from safebasin.plane import Axis, Plane\n"
        "from pathlib import Path\n"
        "axes = tuple(Axis.symmetric(n, 1.0, 4) for n in 'xy')\n"
        "codes = np.zeros((5, 5, 3), dtype=np.int8)\n"
        "one = Survey((Landscape(Plane(axes), 'j', ('a', 'b', 'c'), codes),), replicates=9)\n"
        f"draw(one, shares=one, model='m', prompts='p', folder=Path({str(tmp_path)!r}))\n"
        "loaded = {'torch', 'matplotlib.pyplot', 'transformers'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)
    assert (tmp_path / "surface.svg").exists()


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_outcomes_stay_apart_in_a_grey_print() -> None:
    shades = sorted(luminance(colour) for colour in style.OUTCOME_COLOURS.values())
    ratios = [(b + 0.05) / (a + 0.05) for a, b in itertools.pairwise(shades)]
    assert min(ratios) > 1.4
    assert len(set(style.OUTCOME_HATCHES.values())) == 3


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 axes"):
        contour(line(), **NAMES)
    with pytest.raises(UsageError, match="1 axes"):
        curve(plane(), **NAMES)
    with pytest.raises(UsageError, match="'gif'"):
        draw(line(), folder=tmp_path, formats=("gif",), **NAMES)
    flat = Plane((Axis("x", (0.0,)), Axis("y", (0.0, 1.0))))
    codes = np.zeros((1, 2, 40), dtype=np.int8)
    thin = Survey((Landscape(flat, "keywords", PROMPTS, codes),))
    assert draw(thin, folder=tmp_path, **NAMES) == []
    with pytest.raises(UsageError, match="cannot be drawn"):
        contour(thin, **NAMES)


def test_the_heading_says_where_visage_has_no_meaning() -> None:
    lost = line(1, wall=-2.0)
    assert "VISAGE undefined" in words(curve(lost, **NAMES))
    codes = np.full((5, 4), REFUSED, dtype=np.int8)
    codes[2] = INCOHERENT
    one = Landscape(Plane((Axis.symmetric("d", 0.2, 4),)), "fake", tuple("abcd"), codes)
    assert "has no meaning: over 10 % at the origin" in words(curve(Survey((one,)), **NAMES))


def test_a_contour_outlines_the_cells_whose_area_it_names() -> None:
    axes = (Axis.symmetric("x", 0.5, 4), Axis.symmetric("y", 0.5, 4))
    codes = np.full((5, 5, 10), INCOHERENT, dtype=np.int8)
    codes[2:, 2] = REFUSED  # three cells in a row, the last one half outside the plane
    survey = Survey((Landscape(Plane(axes), "fake", tuple("abcdefghij"), codes),))
    figure = contour(survey, **NAMES)
    dots = [
        path.vertices
        for part in figure.axes[0].collections
        if isinstance(part, LineCollection)
        for path in part.get_paths()
    ]
    ends = np.concatenate(dots)
    assert (ends.min(0), ends.max(0)) == (
        pytest.approx((-0.125, -0.125)), pytest.approx((0.5, 0.125)),
    )  # fmt: skip
    assert len(dots) == 8
    assert "in 15.6 % of the plane (dotted cells)" in words(figure)
    assert survey.region().area_share.value == pytest.approx(2.5 * 0.25 * 0.25)
