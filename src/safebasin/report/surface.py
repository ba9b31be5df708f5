"""The surface of ASR over a plane of two axes, in three dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from safebasin.errors import UsageError
from safebasin.landscape import Survey
from safebasin.report.maps import axis_names, plane_data
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.style import INK, QUIET, RATE_MAP, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ELEVATIONS = tuple(float(up) for up in range(36, 70, 3))
"""From how high the surface is seen: the first angle from which the origin is in sight."""
LOWER = 3.0
AZIMUTH = -58.0
BOX = (4.0, 4.0, 2.3)
"""The lengths of the box, the ASR upward."""
FINE = 160
"""About how many facets there are along an axis."""
DRAWN_BETWEEN = "dots: measured; between them: interpolated for the drawing"


@dataclass(frozen=True)
class Relief:
    """A surface as it is drawn: the ASR in per cent on a grid, with the measured points in it."""

    x: Array
    y: Array
    rate: Array
    interpolated: bool

    @classmethod
    def of(cls, x: Array, y: Array, rate: Array) -> Relief:
        """Through every measured point, and between two of them never above or below both
        (monotone cubic, Fritsch and Carlson 1980); as measured where a point was not judged.
        """
        from scipy.interpolate import PchipInterpolator

        if not np.isfinite(rate).all():
            return cls(x, y, rate, False)
        fine = [_between(values) for values in (x, y)]
        along = PchipInterpolator(x, rate, axis=0)(fine[0])
        between = np.asarray(PchipInterpolator(y, along, axis=1)(fine[1]))
        return cls(fine[0], fine[1], between, True)

    def height(self, x: Array, y: Array) -> Array:
        """The ASR at places of the plane, linear between the grid's; -inf outside of it."""
        from scipy.interpolate import RegularGridInterpolator

        rate = np.where(np.isfinite(self.rate), self.rate, -np.inf)
        at = RegularGridInterpolator((self.x, self.y), rate, bounds_error=False, fill_value=-np.inf)
        return np.asarray(at(np.column_stack([x, y])))

    def hidden(self, x: float, y: float, rate: float, elevation: float, azimuth: float) -> bool:
        """Whether the surface lies between a place above it and who looks from far away."""
        up, turn = math.radians(elevation), math.radians(azimuth)
        step = np.array(
            [math.cos(up) * math.cos(turn), math.cos(up) * math.sin(turn), math.sin(up)]
        )
        spans = np.array([np.ptp(self.x), np.ptp(self.y), 100.0])
        # A length of 1 in the box is so much of the axes; the ray leaves the box within its size.
        way = np.linspace(0.02, float(np.linalg.norm(BOX)), 400)[:, None] * step * spans / BOX
        ray = np.array([x, y, rate]) + way
        with np.errstate(invalid="ignore"):
            return bool((self.height(ray[:, 0], ray[:, 1]) > ray[:, 2] + 1.0).any())


def surface(
    survey: Survey,
    *,
    model: str,
    prompts: str,
    sheet: Sheet = SCREEN,
    elevation: float | None = None,
    azimuth: float | None = None,
) -> Figure:
    """ASR over one plane as a smooth surface, with the measured points on it and the origin marked.

    The surface between the points is interpolated for the drawing alone. What it hides of the
    points is not drawn; an origin that it hides is dashed. `elevation` and `azimuth` are the
    angles of the eye in degrees, parallel projection; None for an elevation from which the origin
    is in sight. Raises UsageError for an elevation outside [0, 90].
    """
    if elevation is not None and not 0 <= elevation <= 90:
        raise UsageError(f"The elevation is {elevation:g} degrees.", "Give 0 to 90.")
    x, y, rate = plane_data(survey)
    turn = AZIMUTH if azimuth is None else azimuth
    with sheet.styled():
        figure = sheet.figure((7.0, 6.3), 0.86)
        figure.set_layout_engine("none")  # it does not know what stands around a box
        sheet.head(figure, survey, model, prompts)
        top = _top(figure, sheet)
        axes: Any = figure.add_axes(
            (0.0, 0.0, 0.86, top), projection="3d", proj_type="ortho", computed_zorder=False
        )
        relief = Relief.of(x, y, rate)
        drawn = _relief(axes, relief)
        words = DRAWN_BETWEEN if relief.interpolated else "drawn as measured, with gaps"
        low = _foot(figure, words, sheet)
        right = _scale(figure, drawn, (low, top))
        origin = survey.plane.origin
        middle = None if origin is None else float(rate[origin])
        if middle is not None and not np.isfinite(middle):
            middle = None
        up = _elevation(relief, middle, turn) if elevation is None else elevation
        _points(axes, relief, (x, y, rate), (up, turn), sheet)
        if middle is not None:
            _origin(axes, middle, relief.hidden(0.0, 0.0, middle, up, turn), sheet)
        _box(axes, survey, (x, y), sheet)
        axes.view_init(elev=up, azim=turn)
        _fit(figure, axes, (0.015, low, right, top - 0.01))
    return figure


def _between(values: Array) -> Array:
    """The values themselves with even steps between two of them."""
    steps = max(1, math.ceil(FINE / (len(values) - 1)))
    places = np.arange((len(values) - 1) * steps + 1) / steps
    return np.interp(places, np.arange(len(values)), values)


def _elevation(relief: Relief, middle: float | None, azimuth: float) -> float:
    if middle is None:
        return ELEVATIONS[0]
    # Seen from somewhat lower, too, so that the whole marker is in sight.
    seen = (up for up in ELEVATIONS if not relief.hidden(0.0, 0.0, middle, up - LOWER, azimuth))
    return next(seen, ELEVATIONS[-1])


def _relief(axes: Any, relief: Relief) -> Any:
    across, along = np.meshgrid(relief.x, relief.y, indexing="ij")
    edges = {} if relief.interpolated else {"edgecolor": (1, 1, 1, 0.3), "linewidth": 0.3}
    if relief.interpolated:
        edges = {"linewidth": 0, "antialiased": False}
    # Thousands of facets: a picture in an SVG or a PDF, whose text and lines stay what they are.
    drawn = axes.plot_surface(
        across, along, relief.rate, cmap=RATE_MAP, vmin=0, vmax=100, rstride=1, cstride=1,
        rasterized=True, zorder=2, **edges,
    )  # fmt: skip
    drawn.set_clip_on(False)  # a corner may lie outside of the panel around the box
    return drawn


def _points(
    axes: Any,
    relief: Relief,
    measured: tuple[Array, Array, Array],
    eye: tuple[float, float],
    sheet: Sheet,
) -> None:
    """The measured points that are in sight, at their own height."""
    x, y, rate = measured
    seen = [
        (x[i], y[j], rate[i, j])
        for i in range(len(x))
        for j in range(len(y))
        if np.isfinite(rate[i, j]) and not relief.hidden(x[i], y[j], rate[i, j], *eye)
    ]
    if relief.interpolated and seen:
        axes.plot(
            *zip(*seen, strict=True), ".", color="white", mec=INK, mew=0.25 * size(0.1),
            ms=size(0.24 if sheet.printed else 0.3), ls="none", zorder=3, gid="measured",
            clip_on=False,
        )  # fmt: skip


def _origin(axes: Any, rate: float, hidden: bool, sheet: Sheet) -> None:
    """A marker at the height of the origin, and a line from it up to its name."""
    top = 128.0
    line = {"ls": (0, (2, 2)) if hidden else "-", "lw": size(0.1), "color": INK}
    axes.plot([0, 0], [0, 0], [rate, top], zorder=4, clip_on=False, **line)
    axes.plot(
        [0], [0], [rate], marker="o", ls="none", color="none" if hidden else "white", mec=INK,
        mew=size(0.14), ms=size(0.6), zorder=5, gid="origin", clip_on=False,
    )  # fmt: skip
    words = f"origin {rate:.0f} %{', behind the surface' if hidden else ''}"
    axes.text(
        0, 0, top + 4, words, ha="center", va="bottom", fontsize=size(0.9), zorder=6,
        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
    )  # fmt: skip


def _box(axes: Any, survey: Survey, along: tuple[Array, Array], sheet: Sheet) -> None:
    from matplotlib.ticker import MaxNLocator

    x, y = along
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), zlim=(0, 100))
    axes.set_box_aspect(BOX)
    axis_names(survey.landscapes[0], axes, 22 if sheet.printed else 30)
    axes.set_zlabel("ASR (%)")
    axes.set_zticks([0, 50, 100])
    axes.tick_params(labelsize=size(0.9), pad=size(0.0))
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.labelpad = size(0.1 if sheet.printed else 0.5)
        axis.pane.set_facecolor("white")
        axis.pane.set_edgecolor("#CCCCCC")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(3 if sheet.printed else 5))
    axes.set_facecolor("none")


def _foot(figure: Figure, words: str, sheet: Sheet) -> float:
    """A line at the bottom, broken in two where it is too long; where it ends, as a share."""
    text = figure.text(0.5, 0.012, words, color=QUIET, fontsize=size(0.8), ha="center")
    if not sheet.printed:
        text.set(x=0.025, ha="left")
    if text.get_window_extent().width > 0.97 * figure.bbox.width:
        text.set_text(words.replace("; ", "\n"))
    return float(text.get_window_extent().y1 / figure.bbox.height) + 0.015


def _scale(figure: Figure, drawn: Any, between: tuple[float, float]) -> float:
    """The colour bar at the right edge, and where it begins, as a share of the figure's width."""
    low, top = between
    place = (0.8, low + 0.2 * (top - low), 0.025, 0.6 * (top - low))
    bar = figure.add_axes(place)
    scale = figure.colorbar(drawn, cax=bar)
    scale.set_ticks(list(range(0, 101, 20)))
    scale.ax.tick_params(labelsize=size(0.9))
    scale.set_label("attack success rate (%)", fontsize=size(0.9))
    figure.draw_without_rendering()
    found: Any = bar.get_tightbbox()
    left = float(place[0] + 0.985 - found.x1 / figure.bbox.width)
    bar.set_position((left, *place[1:]))
    return left - 0.02


def _top(figure: Figure, sheet: Sheet) -> float:
    """Where the heading ends, as a share of the figure's height."""
    if not sheet.printed:
        return 1 - 0.95 / figure.get_figheight()
    texts: Any = figure.findobj(lambda one: one is figure._suptitle)  # type: ignore[attr-defined]
    lowest = [text.get_window_extent().y0 / figure.bbox.height for text in texts]
    return min(lowest, default=1.0)


def _fit(figure: Figure, axes: Any, room: tuple[float, float, float, float]) -> None:
    """Move and scale a box until all that stands around it fills its room, in shares of a figure.

    Letters keep their size, so that it takes a few rounds.
    """
    left, low, right, high = room
    for _ in range(4):
        figure.draw_without_rendering()
        found = axes.get_tightbbox().transformed(figure.transFigure.inverted())
        scale = min((right - left) / found.width, (high - low) / found.height)
        place = axes.get_position()
        width, height = place.width * scale, place.height * scale
        across = (left + right) / 2 - scale * ((found.x0 + found.x1) / 2 - place.x0)
        upward = (low + high) / 2 - scale * ((found.y0 + found.y1) / 2 - place.y0)
        axes.set_position((across, upward, width, height))
