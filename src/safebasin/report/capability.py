"""Pictures of what a model can still do: curves beside the ASR, a picture of their own, maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.errors import UsageError
from safebasin.landscape import Survey
from safebasin.landscape.capability import KEPT, Capability
from safebasin.landscape.intervals import Array, Band
from safebasin.report.card import percent
from safebasin.report.maps import inner, panel, stacked
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.style import CAPABILITY_COLOURS, INK, QUIET, RATE_MAP, plain, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "s^DvP"
DASHES: tuple[Any, ...] = ((0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), "-")


def drawn(one: Capability) -> tuple[Band, Array, str]:
    """What is drawn in shares of one: mean (plane's shape), each (directions, points), what it is.

    An accuracy stands for itself. A perplexity or a metric has no scale of its own beside a
    share, so what is kept of the origin's is drawn, at most all of it.
    """
    if one.measure == "accuracy":
        return one.mean(), one.each(), one.metric or "accuracy"
    what = "likelihood a token" if one.perplexity else one.metric
    kept = one.kept()
    value, low, high = (np.minimum(part, 1.0) for part in (kept.value, kept.low, kept.high))
    band = Band(value, low, high, kept.level, kept.method)
    return band, np.minimum(one.each_kept(), 1.0), f"{what}, of the origin's"


def packed(one: Capability) -> dict[str, Any]:
    """What a page draws of a capability and says of it, in JSON values."""
    band, _, what = drawn(one)

    def numbers(array: Array) -> list[float | None]:
        return [round(float(v), 5) if np.isfinite(v) else None for v in array.ravel()]

    return {
        "name": one.name,
        "what": what,
        "value": numbers(band.value),
        "low": numbers(band.low),
        "high": numbers(band.high),
    }


def told(one: Capability) -> tuple[str, str, str]:
    """Its name, its value at the origin, and how far it is kept, with their intervals."""
    origin, extent = one.origin, one.extent()
    if origin is None:
        value = "not measured"
    elif one.measure == "accuracy":
        value = percent(origin.value.to_json())
    else:
        value = origin.value.text(".4g")
    scale = one.metric or ("perplexity" if one.perplexity else "accuracy")
    if extent.area_share is not None:
        kept = f"in {extent.area_share.text()} of the plane"
    elif extent.negative is None or extent.positive is None:
        kept = "not known"
    else:
        kept = f"to {extent.negative.text()} below, {extent.positive.text()} above"
    return one.name, f"{scale} {value} of {one.size}", kept


def add_capabilities(
    axes: Axes, capabilities: Sequence[Capability], *, own: bool = True
) -> list[Any]:
    """Curves in the panel of the ASR with their intervals; returns what a legend shows of them.

    own  whether they get a legend of their own, above that of the panel
    """
    axes.set_ylabel("ASR and capability (%)")
    first = axes.get_legend()
    handles = [_line(axes, one, i) for i, one in enumerate(capabilities)]
    if not own:
        return handles
    legend = axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.012, 1.055), ncols=2,
        borderaxespad=0.2, handlelength=2.6, columnspacing=1.3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    if first is not None:
        axes.add_artist(first)
        first.set_clip_on(False)
    return handles


def capability_curve(
    survey: Survey,
    capabilities: Sequence[Capability],
    *,
    model: str,
    prompts: str,
    sheet: Sheet = SCREEN,
) -> Figure:
    """The capabilities alone over the displacement, with a thin line a direction."""
    need_capabilities(capabilities)
    with sheet.styled():
        extra = 0.24 * -(-len(capabilities) // 2)
        figure = sheet.figure((7.5, 4.3 + extra), 0.62 + 0.5 * extra)
        height = figure.get_figheight()
        axes = panel(figure, sheet, (0.095, 0.62 / height, 0.87, 1 - (0.62 + 1.0 + extra) / height))
        sheet.head(figure, survey, model, prompts)
        handles = [_line(axes, one, i, each=True) for i, one in enumerate(capabilities)]
        axes.axvline(0, color="#BBBBBB", lw=0.8, zorder=1)
        axes.set_ylim(-3, 108)
        axes.set_yticks(range(0, 101, 20))
        axes.set_ylabel("capability (%)")
        axes.set_xlabel("displacement α along the direction")
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        axes.set_axisbelow(True)
        screen = {"bbox_to_anchor": (-0.012, 1.0), "ncols": 2, "handlelength": 2.6}
        sheet.legend(axes, handles, [str(one.get_label()) for one in handles], screen)
    return figure


def capability_map(
    survey: Survey,
    capabilities: Sequence[Capability],
    plane: int,
    *,
    model: str,
    prompts: str,
    sheet: Sheet = SCREEN,
) -> Figure:
    """The capabilities over one plane side by side, with the line where 90 % is kept."""
    need_capabilities(capabilities)
    x, y = (np.array(axis.values) for axis in survey.plane.axes)
    if min(len(x), len(y)) < 2:
        raise UsageError("A plane with one value on an axis cannot be drawn.", "Scan more steps.")
    shown = capabilities[:3]
    with sheet.styled():
        figure = sheet.figure(
            (max(5.2, 0.5 + 3.6 * len(shown)), 5.4),
            0.78 * len(shown) if sheet.narrow else 1.3 / len(shown),
        )
        sheet.head(figure, survey, model, prompts)
        width = 0.88 / len(shown)
        for i, one in enumerate(shown):
            if sheet.printed:
                axes = stacked(figure, sheet, i, len(shown))
            else:
                axes = figure.add_axes((0.085 + width * i, 0.26, width * 0.82, 0.50))
            _, each, what = drawn(one)
            values = 100 * (each[plane].reshape(len(x), len(y)))
            axes.set_facecolor("#B0B0B0")
            filled = axes.contourf(
                x, y, np.ma.masked_invalid(values.T), np.linspace(0, 100, 11), cmap=RATE_MAP
            )
            kept = one.each_kept()[plane].reshape(len(x), len(y))
            if np.isfinite(kept).all() and (kept < KEPT).any() and (kept >= KEPT).any():
                axes.contour(x, y, kept.T, [KEPT], colors="white", linewidths=size(0.22))
            if survey.plane.origin is not None:
                axes.plot(0, 0, "o", color="white", mec=INK, mew=size(0.16), ms=size(0.8))
            place: dict[str, Any] = {"ax": axes}
            if not sheet.printed:
                place = {"cax": figure.add_axes((0.085 + width * i, 0.105, width * 0.82, 0.025))}
            upright = "vertical" if sheet.narrow else "horizontal"
            scale = figure.colorbar(filled, orientation=upright, **place)
            scale.set_ticks(list(range(0, 101, 20)))
            scale.set_label(f"{plain(what, 34)} (%)")
            axes.set_title(plain(one.name, 30), loc="left", fontsize=size(0.9), color=QUIET,
                           parse_math=False)  # fmt: skip
            inner(axes, survey.landscapes[plane], sheet, i, len(shown))
    return figure


def need_capabilities(capabilities: Sequence[Capability]) -> None:
    if not capabilities:
        raise UsageError(
            "No capability was measured in this run.",
            "Give the scan again with --capability; its answers are kept.",
        )


def _line(axes: Axes, one: Capability, i: int, *, each: bool = False) -> Any:
    """One capability's mean with its band; returns what the legend shows."""
    alpha = np.array(one.planes[0].axes[0].values)
    band, values, what = drawn(one)
    known = np.isfinite(band.value)
    colour = CAPABILITY_COLOURS[i % len(CAPABILITY_COLOURS)]
    name = plain(one.name, 26)
    label = name if what == "accuracy" else f"{name} ({plain(what, 32)})"
    [line] = axes.plot(
        alpha[known], 100 * band.value[known], color=colour, lw=size(0.19), ms=size(0.4),
        marker=MARKERS[i % len(MARKERS)], ls=DASHES[i % len(DASHES)], label=label,
        clip_on=False, zorder=3,
    )  # fmt: skip
    axes.fill_between(
        alpha[known], 100 * band.low[known], 100 * band.high[known], color=colour, alpha=0.12,
        linewidth=0,
    )  # fmt: skip
    for row in values if each and len(values) > 1 else ():
        axes.plot(alpha, 100 * row, color=colour, alpha=0.5, lw=0.8, zorder=2)
    return line
