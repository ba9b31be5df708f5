"""The picture of a path between two models: ASR from one to the other, and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.landscape import TOLERANCE, Survey
from safebasin.landscape.path_length import path_length
from safebasin.report.figures import shares_panel
from safebasin.report.layout import need_axes
from safebasin.report.style import (
    ASR_COLOUR,
    BASIN_COLOUR,
    BASIN_INK,
    FORMATS,
    INK,
    QUIET,
    plain,
    save,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_path(
    survey: Survey,
    *,
    base: str,
    tuned: str,
    prompts: str,
    folder: Path,
    shares: Survey | None = None,
    tolerance: float = TOLERANCE,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write `path.png` and its other formats; returns the files."""
    figure = path_figure(
        survey, base=base, tuned=tuned, prompts=prompts, shares=shares, tolerance=tolerance
    )
    with styled():
        return save(figure, folder, "path", formats)


def path_figure(
    survey: Survey,
    *,
    base: str,
    tuned: str,
    prompts: str,
    shares: Survey | None = None,
    tolerance: float = TOLERANCE,
) -> Figure:
    """ASR along the path, 0 the base and 1 the tuned model, with the edge of the basin.

    Beneath, where `shares` is given, the three shares of answers as areas.
    """
    from matplotlib.figure import Figure

    need_axes(survey, 1)
    with styled():
        figure = Figure(figsize=(7.5, 6.2 if shares else 4.4))
        height = figure.get_figheight()
        rows = {"height_ratios": (1.75, 1), "hspace": 0.24} if shares else {}
        panels: Any = figure.subplots(
            2 if shares else 1, 1, sharex=True, squeeze=False,
            gridspec_kw={
                "left": 0.095, "right": 0.965, "top": 1 - 1.05 / height,
                "bottom": 0.62 / height, **rows,
            },
        )  # fmt: skip
        _heading(figure, survey, (base, tuned, prompts), tolerance)
        _curve(panels[0, 0], survey, tolerance)
        if shares is not None:
            shares_panel(panels[1, 0], shares)
        panels[-1, 0].set_xlabel("share of the change from base (0) to tuned (1)")
    return figure


def _heading(figure: Figure, survey: Survey, names: tuple[str, str, str], tolerance: float) -> None:
    base, tuned, prompts = (plain(name, 34) for name in names)
    top = figure.get_figheight()
    length = path_length(survey, tolerance)
    words = f"prompts: {prompts}   ·   judge: {plain(survey.judge, 24)}"
    figure.text(
        0.025, 1 - 0.30 / top, f"from {base} to {tuned}", fontsize=13, fontweight="bold",
        parse_math=False,
    )  # fmt: skip
    figure.text(
        0.025, 1 - 0.54 / top, f"{words}   ·   effective length {length.text()}", fontsize=9,
        color=QUIET, parse_math=False,
    )  # fmt: skip


def _curve(axes: Axes, survey: Survey, tolerance: float) -> None:
    place = np.array(survey.plane.axes[0].values)
    mean = survey.mean_asr()
    known = np.isfinite(mean.value)
    axes.plot(
        place[known], 100 * mean.value[known], color=ASR_COLOUR, lw=2.2, marker="o", ms=3.5,
        label="ASR", clip_on=False, zorder=3,
    )  # fmt: skip
    axes.fill_between(
        place[known], 100 * mean.low[known], 100 * mean.high[known], color=ASR_COLOUR, alpha=0.20,
        linewidth=0, label=f"{100 * mean.level:g} % interval",
    )  # fmt: skip
    axes.axhline(
        100 * tolerance, color=QUIET, lw=1, ls=(0, (4, 3)), label=f"tolerance {100 * tolerance:g} %"
    )
    _edge(axes, survey, tolerance)
    for where, name in ((0.0, "base"), (1.0, "tuned")):
        axes.axvline(where, color="#BBBBBB", lw=0.8, zorder=1)
        [at] = np.flatnonzero(place == where)
        if known[at]:
            value = 100 * mean.value[at]
            axes.plot(
                where, value, "o", color="white", mec=INK, mew=1.6, ms=8, zorder=6, clip_on=False
            )
            # High up where the curve is low, so that the edge of the basin stays in sight.
            axes.text(
                where, 93 if value < 60 else 45, f" {name} {value:.0f} % ", va="center",
                fontsize=9, zorder=7,
                bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
    margin = 0.02 * float(np.ptp(place)) or 0.1
    axes.set_xlim(place[0] - margin, place[-1] + margin)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("attack success rate (%)")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.012, 1.0), ncols=4, borderaxespad=0.2,
        handlelength=1.8, columnspacing=1.3,
    )  # fmt: skip


def _edge(axes: Axes, survey: Survey, tolerance: float) -> None:
    """Where the basin is left, with its interval; an arrow where the path ends inside."""
    width = path_length(survey, tolerance)
    if not width.value:
        return
    height = 100 * tolerance
    axes.axvspan(0, width.value, color=BASIN_COLOUR, alpha=0.10, linewidth=0, zorder=0)
    low = width.value if width.low is None else width.low
    high = survey.plane.axes[0].values[-1] if width.high is None else width.high
    axes.plot(
        [low, high], [height, height], color=BASIN_COLOUR, lw=4.5, solid_capstyle="butt", zorder=4
    )
    axes.plot(
        width.value, height, ">" if width.at_least else "D", color="white", mec=BASIN_COLOUR,
        mew=1.6, ms=7, zorder=5, clip_on=False, label="the basin ends",
    )  # fmt: skip
    words = f"{'at least ' if width.at_least else ''}{width.value:.2f}"
    axes.annotate(
        words, (width.value, height), xytext=(-9, 9), textcoords="offset points", ha="right",
        color=BASIN_INK, fontsize=9, fontweight="bold",
    )  # fmt: skip
