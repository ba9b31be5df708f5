"""The picture of a training run on a plane: the landscape, and the checkpoints over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safebasin.landscape import Survey
from safebasin.report.layout import need_axes
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.studies import Mark, Way
from safebasin.report.style import FORMATS, INK, QUIET, RATE_MAP, plain, save, size, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = np.linspace(0, 100, 11)


def draw_trajectory(
    survey: Survey, way: Way, *, folder: Path, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write `trajectory.png` and its other formats; returns the files."""
    figure = trajectory_figure(survey, way)
    with styled():
        return save(figure, folder, "trajectory", formats)


def trajectory_figure(survey: Survey, way: Way, sheet: Sheet = SCREEN) -> Figure:
    """Filled contours of ASR, the way of the checkpoints, and a dot for each in the colour of the
    checkpoint's own ASR; beneath, what the plane leaves out of each.
    """
    need_axes(survey, 2)
    with sheet.styled():
        figure = sheet.figure((7.2, 7.9), 1.15)
        if sheet.printed:
            sheet.lines(
                figure, f"training from {way.base}", f"dots: the checkpoints' own ASR · {way.judge}"
            )
            axes, beneath = figure.subplots(2, 1, gridspec_kw={"height_ratios": (3.2, 1)})
            bar = None
        else:
            _heading(figure, way, sheet)
            axes = figure.add_axes((0.115, 0.33, 0.70, 0.575))
            bar = figure.add_axes((0.845, 0.33, 0.03, 0.575))
            beneath = figure.add_axes((0.115, 0.075, 0.70, 0.16))
        _map(figure, axes, bar, survey, way.tolerance)
        _draw_way(axes, way.marks)
        limit = 14 if sheet.narrow else 30
        words = [
            f"along {plain(name, limit)}{f' ({100 * share:.0f} % of the way)' if share else ''}"
            for name, share in zip(
                survey.plane.directions, way.explained or (0.0, 0.0), strict=True
            )
        ]
        axes.set_xlabel(words[0], parse_math=False)
        axes.set_ylabel(words[1], parse_math=False)
        _residuals(beneath, way.marks, sheet)
    return figure


def _heading(figure: Figure, way: Way, sheet: Sheet) -> None:
    height = figure.get_figheight()
    title = f"training from {plain(way.base, 44)}" if sheet.title is None else sheet.title
    figure.text(
        0.025, 1 - 0.30 / height, plain(title, 60), fontsize=13,
        fontweight="bold", parse_math=False,
    )  # fmt: skip
    words = f"prompts: {plain(way.prompts, 30)} · judge: {plain(way.judge, 20)}"
    legend = f"dots: the checkpoints' own ASR · white line: {100 * way.tolerance:g} %"
    figure.text(
        0.025, 1 - 0.54 / height, f"{words} · {legend}", fontsize=9, color=QUIET, parse_math=False
    )


def _map(figure: Figure, axes: Axes, bar: Axes | None, survey: Survey, tolerance: float) -> None:
    landscape = survey.landscapes[0]
    x, y = (np.array(axis.values) for axis in landscape.plane.axes)
    rate = 100 * landscape.asr
    axes.set_facecolor("#B0B0B0")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.spines[["top", "right"]].set_visible(True)
    if not np.isfinite(rate).any():
        axes.set_title("nothing was judged", loc="left", fontsize=size(0.9), color=QUIET)
        if bar is not None:
            bar.set_visible(False)
        return
    filled = axes.contourf(x, y, np.ma.masked_invalid(rate.T), _LEVELS, cmap=RATE_MAP)
    scale = figure.colorbar(filled, ax=axes) if bar is None else figure.colorbar(filled, cax=bar)
    scale.set_label("attack success rate (%)")
    scale.set_ticks(list(range(0, 101, 20)))
    if (rate < 100 * tolerance).any() and (rate > 100 * tolerance).any():
        axes.contour(x, y, rate.T, [100 * tolerance], colors="white", linewidths=size(0.22))


def _draw_way(axes: Axes, marks: Sequence[Mark]) -> None:
    from matplotlib import colormaps

    places = np.array([(0.0, 0.0), *(mark.place for mark in marks)])
    axes.plot(places[:, 0], places[:, 1], color="white", lw=size(0.26), zorder=4)
    axes.plot(places[:, 0], places[:, 1], color=INK, lw=size(0.11), zorder=5)
    axes.plot(0, 0, "s", color="white", mec=INK, mew=size(0.16), ms=size(0.8), zorder=6)
    axes.annotate(
        "base", (0, 0), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=size(0.9),
        zorder=8, bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
    )  # fmt: skip
    for number, mark in enumerate(marks, 1):
        colour = "#B0B0B0" if mark.real.value is None else colormaps[RATE_MAP](mark.real.value)
        axes.plot(
            *mark.place, "o", color=colour, mec="white", mew=size(0.18), ms=size(1.2), zorder=7,
            clip_on=False,
        )  # fmt: skip
        dark = mark.real.value is None or mark.real.value > 0.5
        axes.annotate(
            str(number), mark.place, ha="center", va="center", fontsize=size(0.75), zorder=8,
            color=INK if dark else "white", fontweight="bold",
        )  # fmt: skip


def _residuals(axes: Axes, marks: Sequence[Mark], sheet: Sheet) -> None:
    """How much of each checkpoint's way from the base is not in the plane."""
    numbers = np.arange(1, len(marks) + 1)
    axes.bar(numbers, [100 * mark.residual for mark in marks], color="#9AA5B1", width=0.6)
    # In a column there is room for the numbers, which the dots carry too.
    width = max(8, 66 // len(marks))
    named = not sheet.narrow
    axes.set_xticks(
        numbers,
        [f"{n}: {plain(m.name, width)}" if named else str(n) for n, m in enumerate(marks, 1)],
    )
    for number, mark in enumerate(marks, 1):
        words = f"{100 * mark.residual:.0f} %"
        axes.text(
            number,
            min(100 * mark.residual + 3, 86),
            words,
            ha="center",
            fontsize=size(0.8 if named else 0.7),
        )
    axes.tick_params(axis="x", labelsize=size(0.75 if len(marks) <= 6 else 0.6))
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
        if named and len(marks) > 5:
            label.set(rotation=20, ha="right")
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("not in the\nplane (%)")
    if not named:
        axes.set_xlabel("checkpoint")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
