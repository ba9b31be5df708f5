"""The pictures of a plane of two axes: a filled contour, a surface, the shares side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.errors import UsageError
from safebasin.landscape import TOLERANCE, Landscape, Survey
from safebasin.report.layout import heading, need_axes
from safebasin.report.style import INK, OUTCOME_INKS, QUIET, RATE_MAP, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = np.linspace(0, 100, 11)


def contour(survey: Survey, *, model: str, prompts: str, tolerance: float = TOLERANCE) -> Figure:
    """Filled contours of ASR over one plane, with the edge of the basin and the origin."""
    from matplotlib.figure import Figure

    x, y, rate = _surface_data(survey)
    with styled():
        figure = Figure(figsize=(7.0, 6.7))
        axes = figure.add_axes((0.115, 0.085, 0.70, 0.73))
        heading(figure, survey, model, prompts)
        _map(
            figure,
            axes,
            (x, y, rate),
            RATE_MAP,
            (0.845, 0.085, 0.03, 0.73),
            "attack success rate (%)",
        )
        if (rate < 100 * tolerance).any() and (rate > 100 * tolerance).any():
            edge = axes.contour(x, y, rate.T, [100 * tolerance], colors="white", linewidths=2.2)
            axes.clabel(edge, fmt=lambda level: f"{level:.0f} %", fontsize=9)
        _origin(survey.landscapes[0], axes)
        _axis_names(survey.landscapes[0], axes)
        region = survey.region(tolerance)
        radius, share = region.equivalent_radius, region.area_share
        words = plain(radius.note, 70)
        if radius.value and share.value:
            _counted(survey, axes, tolerance)
            words = (
                f"ASR within {100 * tolerance:g} % in {100 * share.value:.1f} % of the plane "
                f"(dotted cells), a disc of radius {radius.text()}"
            )
        axes.set_title(words, loc="left", fontsize=9, color=QUIET)
    return figure


def surface(survey: Survey, *, model: str, prompts: str) -> Figure:
    """ASR over one plane in three dimensions, with the origin marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    x, y, rate = _surface_data(survey)
    with styled():
        figure = Figure(figsize=(7.0, 6.3))
        axes: Any = figure.add_axes((0.0, 0.0, 0.96, 0.90), projection="3d")
        heading(figure, survey, model, prompts)
        across, along = np.meshgrid(x, y, indexing="ij")
        axes.plot_surface(
            across, along, rate, cmap=RATE_MAP, vmin=0, vmax=100, rstride=1, cstride=1,
            edgecolor=(1, 1, 1, 0.3), linewidth=0.3,
        )  # fmt: skip
        origin = survey.plane.origin
        if origin is not None and np.isfinite(rate[origin]):
            floor = rate[origin]
            axes.plot([0, 0], [0, 0], [floor, 112], color=INK, linewidth=1.2, zorder=10)
            axes.plot(
                [0], [0], [floor], marker="o", color="white", mec=INK, mew=1.6, ms=7, zorder=11
            )
            axes.text(
                0, 0, 122, f"origin {floor:.0f} %", ha="center", fontsize=9, zorder=12,
                bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), zlim=(0, 100))
        axes.set_zlabel("attack success rate (%)", labelpad=6)
        axes.set_box_aspect((4, 4, 2.3), zoom=0.92)
        axes.view_init(elev=46, azim=-58)
        _axis_names(survey.landscapes[0], axes)
        for axis in (axes.xaxis, axes.yaxis):
            axis.labelpad = 8
            axis.set_major_locator(MaxNLocator(5))
        axes.tick_params(labelsize=9)
        axes.set_facecolor("none")
    return figure


def shares_map(landscape: Landscape, *, model: str, prompts: str) -> Figure:
    """The share of each outcome over one plane, side by side on one scale."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    survey = Survey((landscape,))
    x, y, _ = _surface_data(survey)
    with styled():
        figure = Figure(figsize=(9.6, 5.0))
        heading(figure, survey, model, prompts)
        for i, (outcome, band) in enumerate(survey.shares().items()):
            left = 0.085 + 0.305 * i
            axes = figure.add_axes((left, 0.26, 0.272, 0.522))
            bar = (left, 0.095, 0.272, 0.025)
            tint = LinearSegmentedColormap.from_list(outcome, ["white", OUTCOME_INKS[outcome]])
            _map(figure, axes, (x, y, 100 * band.value), tint, bar, f"{outcome} (% of answers)")
            _origin(landscape, axes)
            _axis_names(landscape, axes)
            if i:
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
    return figure


def _map(
    figure: Figure,
    axes: Axes,
    data: tuple[Any, Any, Any],
    colours: Any,
    bar: tuple[float, float, float, float],
    label: str,
) -> None:
    """Filled contours in per cent with their scale; grey where nothing was judged."""
    x, y, rate = data
    axes.set_facecolor("#B0B0B0")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_aspect("equal" if np.isclose(np.ptp(x), np.ptp(y)) else "auto")
    axes.spines[["top", "right"]].set_visible(True)
    if not np.isfinite(rate).any():
        axes.set_title("nothing was judged", loc="left", fontsize=9, color=QUIET)
        return
    filled = axes.contourf(x, y, np.ma.masked_invalid(rate.T), _LEVELS, cmap=colours)
    upright = bar[3] > bar[2]
    scale = figure.colorbar(
        filled, cax=figure.add_axes(bar), orientation="vertical" if upright else "horizontal"
    )
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
        axes.plot(0, 0, "o", color="white", mec=INK, mew=1.6, ms=8)


def _axis_names(landscape: Landscape, axes: Any) -> None:
    first, second = landscape.plane.directions
    axes.set_xlabel(f"α along {plain(first, 30)}", parse_math=False)
    axes.set_ylabel(f"β along {plain(second, 30)}", parse_math=False)


def _surface_data(survey: Survey) -> tuple[Any, Any, Any]:
    """The axes' values and the ASR of the first landscape in per cent, (X, Y)."""
    need_axes(survey, 2)
    landscape = survey.landscapes[0]
    x, y = (np.array(axis.values) for axis in landscape.plane.axes)
    if min(len(x), len(y)) < 2:
        raise UsageError("A plane with one value on an axis cannot be drawn.", "Scan more steps.")
    return x, y, 100 * landscape.asr
