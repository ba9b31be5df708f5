"""The pictures of a survey: curves over a line, a filled contour and a surface over a plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.exchange import OUTCOMES
from safebasin.landscape import TOLERANCE, Side, Survey
from safebasin.landscape.capability import Capability
from safebasin.report.capability import add_capabilities
from safebasin.report.layout import need_axes
from safebasin.report.maps import contour, panel, shares_map
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.style import (
    ASR_COLOUR,
    BASIN_COLOUR,
    BASIN_INK,
    FORMATS,
    INK,
    OUTCOME_COLOURS,
    OUTCOME_HATCHES,
    QUIET,
    plain,
    save,
    size,
    styled,
)
from safebasin.report.surface import surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["contour", "curve", "draw", "shares_curve", "shares_map", "surface"]


def draw(
    survey: Survey,
    *,
    model: str,
    prompts: str,
    folder: Path,
    shares: Survey | None = None,
    capabilities: Sequence[Capability] = (),
    tolerance: float = TOLERANCE,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write every picture that fits the survey's plane and return the files.

    A line gives `curve`; a plane gives `contour` and `surface`, and `shares` where a survey by a
    three-way judge is given. Several planes are numbered, in the order of the survey; a plane
    with one value on an axis has no picture.
    """
    named: dict[str, Figure] = {}
    if len(survey.plane.axes) == 1:
        named["curve"] = curve(
            survey, model=model, prompts=prompts, shares=shares, capabilities=capabilities,
            tolerance=tolerance,
        )  # fmt: skip
    elif min(survey.plane.shape) > 1:
        for i, landscape in enumerate(survey.landscapes):
            tail = f"-{i + 1}" if len(survey.landscapes) > 1 else ""
            one = Survey((landscape,), survey.level, survey.replicates, survey.seed)
            named[f"contour{tail}"] = contour(
                one, model=model, prompts=prompts, tolerance=tolerance
            )
            named[f"surface{tail}"] = surface(one, model=model, prompts=prompts)
            if shares is not None:
                named[f"shares{tail}"] = shares_map(
                    shares.landscapes[i], model=model, prompts=prompts
                )
    with styled():
        return [path for name, one in named.items() for path in save(one, folder, name, formats)]


def curve(
    survey: Survey,
    *,
    model: str,
    prompts: str,
    shares: Survey | None = None,
    capabilities: Sequence[Capability] = (),
    tolerance: float = TOLERANCE,
    sheet: Sheet = SCREEN,
) -> Figure:
    """ASR over the displacement: a thin line a direction, the mean, its band, the basin's edges.

    `capabilities` are drawn on the same axes. Beneath, where `shares` is given, the three shares
    of answers as areas.
    """
    need_axes(survey, 1)
    with sheet.styled():
        extra = 0.24 * -(-len(capabilities) // 2)  # the rows of their legend
        height = (6.6 if shares else 4.9) + extra
        figure = sheet.figure((7.5, height), (1.08 if shares else 0.78) + 0.5 * extra)
        rows: dict[str, Any] = {"height_ratios": (1.75, 1)} if shares else {}
        if not sheet.printed:
            rows |= {"hspace": 0.24} if shares else {}
            rows |= {"left": 0.095, "right": 0.965}
            rows |= {"top": 1 - (1.22 + extra) / height, "bottom": 0.62 / height}
        panels: Any = figure.subplots(
            2 if shares else 1, 1, sharex=True, squeeze=False, gridspec_kw=rows
        )
        sheet.head(figure, survey, model, prompts)
        _curve_panel(panels[0, 0], survey, tolerance, sheet, capabilities)
        if shares is not None:
            shares_panel(panels[1, 0], shares, sheet)
        panels[-1, 0].set_xlabel("displacement α along the direction")
    return figure


def shares_curve(shares: Survey, *, model: str, prompts: str, sheet: Sheet = SCREEN) -> Figure:
    """The three shares of answers over the displacement, as areas."""
    need_axes(shares, 1)
    with sheet.styled():
        figure = sheet.figure((7.5, 4.2), 0.66)
        height = figure.get_figheight()
        axes = panel(figure, sheet, (0.095, 0.62 / height, 0.87, 1 - (0.62 + 1.25) / height))
        sheet.head(figure, shares, model, prompts)
        shares_panel(axes, shares, sheet)
        axes.set_yticks(range(0, 101, 20))
        axes.set_xlabel("displacement α along the direction")
    return figure


def _curve_panel(
    axes: Axes,
    survey: Survey,
    tolerance: float,
    sheet: Sheet,
    capabilities: Sequence[Capability],
) -> None:
    alpha = np.array(survey.plane.axes[0].values)
    basin = survey.basin(tolerance)
    sides = ((-1, basin.negative), (1, basin.positive))
    reach = {sign: sign * (side.width.value or 0.0) for sign, side in sides}
    if reach[1] > reach[-1]:
        axes.axvspan(reach[-1], reach[1], color=BASIN_COLOUR, alpha=0.10, linewidth=0, zorder=0)
    single = len(survey.landscapes) == 1
    mean = survey.mean_asr()
    known = np.isfinite(mean.value)
    axes.plot(
        alpha[known], 100 * mean.value[known], color=ASR_COLOUR, lw=size(0.22), marker="o",
        ms=size(0.35), label="one direction" if single else "mean", clip_on=False, zorder=3,
    )  # fmt: skip
    axes.fill_between(
        alpha[known], 100 * mean.low[known], 100 * mean.high[known],
        color=ASR_COLOUR, alpha=0.20, linewidth=0, label=f"{100 * mean.level:g} % interval",
    )  # fmt: skip
    for i, landscape in enumerate(survey.landscapes if not single else ()):
        label = "each direction" if i == 0 else None
        axes.plot(
            alpha, 100 * landscape.asr, color=ASR_COLOUR, alpha=0.55, lw=0.8, zorder=2,
            label=label,
        )  # fmt: skip
    _assumed(axes, survey)
    axes.axhline(
        100 * tolerance, color=QUIET, lw=1, ls=(0, (4, 3)), label=f"tolerance {100 * tolerance:g} %"
    )
    for sign, side in sides:
        _edge(axes, sign, side, tolerance, float(np.ptp(alpha)))
    _curve_origin(axes, survey, tolerance)
    margin = 0.015 * float(np.ptp(alpha)) or 0.1
    axes.set_xlim(alpha[0] - margin, alpha[-1] + margin)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("attack success rate (%)")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    # With an entry for what is assumed there is just room for all.
    tight = len(once) > 5
    screen = {
        "bbox_to_anchor": (-0.012, 1.0), "ncols": 6, "borderaxespad": 0.2,
        "handlelength": 1.4 if tight else 1.8, "columnspacing": 0.7 if tight else 1.3,
        "handletextpad": 0.5 if tight else 0.8,
    }  # fmt: skip
    if capabilities and sheet.printed:
        more = add_capabilities(axes, capabilities, own=False)
        once |= {str(line.get_label()): line for line in more}
    sheet.legend(axes, list(once.values()), list(once), screen)
    if capabilities and not sheet.printed:
        add_capabilities(axes, capabilities)


def _assumed(axes: Axes, survey: Survey) -> None:
    """Hatch the stretches where a direction was not asked because its plateau came before."""
    alpha = np.array(survey.plane.axes[0].values)
    assumed = np.any([[cell.assumed for cell in part.cells] for part in survey.landscapes], axis=0)
    half = np.gradient(alpha) / 2 if len(alpha) > 1 else np.zeros(1)
    for place in np.flatnonzero(assumed):
        axes.axvspan(
            alpha[place] - half[place], alpha[place] + half[place], facecolor="none",
            edgecolor="#BBBBBB", hatch="///", linewidth=0, zorder=0,
            label="assumed",
        )  # fmt: skip


def _edge(axes: Axes, sign: int, side: Side, tolerance: float, span: float) -> None:
    """The mean of the directions' edges with its interval, and each of them as a stroke.

    The mean curve may pass the tolerance elsewhere. An arrow stands where the basin goes on.
    """
    width = side.width
    if not width.value:
        return
    height = 100 * tolerance
    low = width.value if width.low is None else width.low
    high = side.reach if width.high is None else width.high
    axes.plot(
        [sign * low, sign * high], [height, height], color=BASIN_COLOUR, lw=size(0.45),
        solid_capstyle="butt", zorder=4,
    )  # fmt: skip
    each = [sign * edge for edge in width.each if edge is not None]
    if len(each) > 1:
        axes.plot(
            each, [height] * len(each), "|", color=BASIN_INK, ms=size(1.1), mew=size(0.14),
            zorder=5, clip_on=False,
        )  # fmt: skip
    marker = (">" if sign > 0 else "<") if width.at_least else "D"
    axes.plot(
        sign * width.value, height, marker, color="white", mec=BASIN_COLOUR, mew=size(0.16),
        ms=size(0.7), zorder=6, clip_on=False,
        label="mean of edges |" if len(each) > 1 else "edge of the basin",
    )  # fmt: skip
    words = f"{'at least ' if width.at_least else ''}{width.value:.2f}"
    # Inside the basin where there is room, else beneath the wall: never across the curve.
    inside = width.value > 0.12 * span
    rightward = (sign > 0) != inside
    axes.annotate(
        words, (sign * width.value, height), xytext=(9 if rightward else -9, 9 if inside else -12),
        textcoords="offset points", ha="left" if rightward else "right",
        color=BASIN_INK, fontsize=size(0.9), fontweight="bold",
    )  # fmt: skip


def _curve_origin(axes: Axes, survey: Survey, tolerance: float) -> None:
    cell = survey.origin
    if cell is None or cell.asr.value is None:
        return
    value = cell.asr.value
    axes.axvline(0, color="#BBBBBB", lw=0.8, zorder=1)
    axes.plot(
        0,
        100 * value,
        "o",
        color="white",
        mec=INK,
        mew=size(0.16),
        ms=size(0.8),
        zorder=6,
        clip_on=False,
    )
    values = survey.plane.axes[0].values
    side = "center"
    if len(values) > 1 and 0.0 in (values[0], values[-1]):
        side = "left" if values[0] == 0 else "right"
    words = f"origin {100 * value:.0f} %"
    if value > tolerance:
        words += ", above the tolerance"
    axes.text(
        0, 92 if value < 0.7 else 45, f" {words} ", ha=side, va="center", fontsize=size(0.9),
        zorder=7, bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
    )  # fmt: skip


def shares_panel(axes: Axes, shares: Survey, sheet: Sheet = SCREEN) -> None:
    """The mean share of each outcome along a line, as areas that add up to 100 %."""
    alpha = np.array(shares.plane.axes[0].values)
    bands = shares.shares()
    known = np.isfinite(bands["refused"].value)
    floor = np.zeros(int(known.sum()))
    for outcome in OUTCOMES:
        top = floor + 100 * bands[outcome].value[known]
        axes.fill_between(
            alpha[known], floor, top, facecolor=OUTCOME_COLOURS[outcome], edgecolor="white",
            hatch=OUTCOME_HATCHES[outcome], linewidth=0.8, label=outcome,
        )  # fmt: skip
        floor = top
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 50))
    axes.set_ylabel("answers (%)")
    handles, labels = axes.get_legend_handles_labels()
    screen = {
        "bbox_to_anchor": (-0.01, 1.0), "ncols": 3, "borderaxespad": 0.2, "columnspacing": 1.4,
        "handlelength": 1.8,
    }  # fmt: skip
    sheet.legend(axes, handles, labels, screen)
    if not sheet.printed:
        axes.text(
            1.0, 1.04, f"judge: {plain(shares.judge, 32)}", transform=axes.transAxes, ha="right",
            fontsize=9, color=QUIET, parse_math=False,
        )  # fmt: skip
