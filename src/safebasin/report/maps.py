"""The maps of a plane of two axes: a filled contour, and the shares side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.errors import UsageError
from safebasin.landscape import TOLERANCE, Landscape, Survey
from safebasin.report.layout import need_axes
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.style import INK, OUTCOME_INKS, QUIET, RATE_MAP, plain, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = np.linspace(0, 100, 11)
Bar = tuple[float, float, float, float] | None


def contour(
    survey: Survey,
    *,
    model: str,
    prompts: str,
    tolerance: float = TOLERANCE,
    sheet: Sheet = SCREEN,
) -> Figure:
    """Filled contours of ASR over one plane, with the edge of the basin and the origin."""
    x, y, rate = plane_data(survey)
    with sheet.styled():
        figure = sheet.figure((7.0, 6.7), 0.72, maps=True)
        axes = panel(figure, sheet, (0.115, 0.085, 0.70, 0.73))
        sheet.head(figure, survey, model, prompts)
        bar = None if sheet.printed else (0.845, 0.085, 0.03, 0.73)
        _map(figure, axes, (x, y, rate), RATE_MAP, bar, "attack success rate (%)")
        if (rate < 100 * tolerance).any() and (rate > 100 * tolerance).any():
            edge = axes.contour(
                x, y, rate.T, [100 * tolerance], colors="white", linewidths=size(0.22)
            )
            axes.clabel(edge, fmt=lambda level: f"{level:.0f} %", fontsize=size(0.9))
        _origin(survey.landscapes[0], axes)
        axis_names(survey.landscapes[0], axes)
        region = survey.region(tolerance)
        radius, share = region.equivalent_radius, region.area_share
        words = plain(radius.note, 70)
        if radius.value and share.value:
            _counted(survey, axes, tolerance)
            words = (
                f"ASR within {100 * tolerance:g} % in {100 * share.value:.1f} % of the plane "
                f"(dotted cells), a disc of radius {radius.text()}"
            )
        if not sheet.printed:
            axes.set_title(words, loc="left", fontsize=9, color=QUIET)
    return figure


def panel(figure: Figure, sheet: Sheet, place: tuple[float, float, float, float]) -> Axes:
    """The only panel of a picture: where it lies on a screen, or where it fits in a column."""
    return figure.add_subplot() if sheet.printed else figure.add_axes(place)


def shares_map(landscape: Landscape, *, model: str, prompts: str, sheet: Sheet = SCREEN) -> Figure:
    """The share of each outcome over one plane on one scale: side by side, or under one another."""
    from matplotlib.colors import LinearSegmentedColormap

    survey = Survey((landscape,))
    x, y, _ = plane_data(survey)
    with sheet.styled():
        shares = survey.shares()
        figure = sheet.figure((9.6, 5.0), 2.0 if sheet.narrow else 0.44, maps=True)
        sheet.head(figure, survey, model, prompts)
        for i, (outcome, band) in enumerate(shares.items()):
            bar: Bar = None
            if sheet.printed:
                axes = stacked(figure, sheet, i, len(shares))
            else:
                left = 0.085 + 0.305 * i
                axes = figure.add_axes((left, 0.26, 0.272, 0.522))
                bar = (left, 0.095, 0.272, 0.025)
            tint = LinearSegmentedColormap.from_list(outcome, ["white", OUTCOME_INKS[outcome]])
            upright = sheet.narrow
            name = f"{outcome} (% of answers)"
            _map(figure, axes, (x, y, 100 * band.value), tint, bar, name, upright)
            _origin(landscape, axes)
            inner(axes, landscape, sheet, i, len(shares))
    return figure


def stacked(figure: Figure, sheet: Sheet, number: int, count: int) -> Axes:
    """One of several panels of a column, counted from 0: under the last one, or beside it."""
    rows, columns = (count, 1) if sheet.narrow else (1, count)
    return figure.add_subplot(rows, columns, number + 1)


def inner(axes: Axes, landscape: Landscape, sheet: Sheet, number: int, count: int) -> None:
    """The names of the axes of one of several maps; what the next one shows, too, is left out."""
    axis_names(landscape, axes, 24 if sheet.printed else 30)
    if sheet.narrow:
        if number < count - 1:
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    elif number:
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)


def _map(
    figure: Figure,
    axes: Axes,
    data: tuple[Any, Any, Any],
    colours: Any,
    bar: Bar,
    label: str,
    upright: bool = True,
) -> None:
    """Filled contours in per cent with their scale; grey where nothing was judged.

    The scale lies where `bar` says, else beside the map: upright, or under it.
    """
    x, y, rate = data
    axes.set_facecolor("#B0B0B0")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_aspect("equal" if np.isclose(np.ptp(x), np.ptp(y)) else "auto")
    axes.spines[["top", "right"]].set_visible(True)
    if not np.isfinite(rate).any():
        axes.set_title("nothing was judged", loc="left", fontsize=size(0.9), color=QUIET)
        return
    filled = axes.contourf(x, y, np.ma.masked_invalid(rate.T), _LEVELS, cmap=colours)
    upright = upright if bar is None else bar[3] > bar[2]
    place: dict[str, Any] = {"ax": axes} if bar is None else {"cax": figure.add_axes(bar)}
    scale = figure.colorbar(filled, orientation="vertical" if upright else "horizontal", **place)
    scale.set_label(label)
    scale.set_ticks(list(range(0, 101, 20)))


def _counted(survey: Survey, axes: Axes, tolerance: float) -> None:
    """The outline of the cells that the basin's area is made of.

    The line of the tolerance is drawn between points, and on a coarse plane encloses less.
    """
    inside = survey.region_points(tolerance)[0]
    x, y = (np.array(axis.values) for axis in survey.plane.axes)
    borders = [np.concatenate((v[:1], (v[1:] + v[:-1]) / 2, v[-1:])) for v in (x, y)]
    padded = np.pad(inside, 1)
    style: dict[str, Any] = {"colors": "white", "linestyles": (0, (1, 2)), "linewidths": 1.4}
    for i, j in zip(*np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1]), strict=True):
        axes.vlines(borders[0][i], borders[1][j], borders[1][j + 1], **style)
    for i, j in zip(*np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1]), strict=True):
        axes.hlines(borders[1][j], borders[0][i], borders[0][i + 1], **style)


def _origin(landscape: Landscape, axes: Axes) -> None:
    if landscape.plane.origin is not None:
        axes.plot(0, 0, "o", color="white", mec=INK, mew=size(0.16), ms=size(0.8))


def axis_names(landscape: Landscape, axes: Any, limit: int = 30) -> None:
    """Along which directions a plane lies."""
    first, second = landscape.plane.directions
    axes.set_xlabel(f"α along {plain(first, limit)}", parse_math=False)
    axes.set_ylabel(f"β along {plain(second, limit)}", parse_math=False)


def plane_data(survey: Survey) -> tuple[Any, Any, Any]:
    """The axes' values and the ASR of the first landscape in per cent, (X, Y)."""
    need_axes(survey, 2)
    landscape = survey.landscapes[0]
    x, y = (np.array(axis.values) for axis in landscape.plane.axes)
    if min(len(x), len(y)) < 2:
        raise UsageError("A plane with one value on an axis cannot be drawn.", "Scan more steps.")
    return x, y, 100 * landscape.asr
