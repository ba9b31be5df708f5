"""The picture of what a fine-tune moved: the relative distance of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safebasin.report.maps import panel
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.studies import Change
from safebasin.report.style import INK, QUIET, plain, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR_COLOUR = "#0072B2"
_NAMED = 24
"""So many bars carry their names and numbers; of more, every so many do."""
_LEVEL = 8
"""The names of so many fit beside each other."""


def layers_figure(change: Change, sheet: Sheet = SCREEN) -> Figure:
    """‖tuned - base‖ / ‖base‖ in per cent as a bar for each layer and table; all weights dashed.

    A part whose weights are all zero in the base has no bar, and says so.
    """
    parts = change.layers
    most = min(_NAMED, sheet.letters // 4) if sheet.printed else _NAMED
    with sheet.styled():
        turned = len(parts) > (sheet.letters // 10 if sheet.printed else _LEVEL)
        foot = 1.05 if turned else 0.45
        figure = sheet.figure((7.5, 3.5 + foot), 0.7)
        height = figure.get_figheight()
        axes = panel(figure, sheet, (0.095, foot / height, 0.87, 1 - (foot + 1.0) / height))
        _head(figure, change, sheet)
        tall = [100 * (part.relative or 0.0) for part in parts]
        places = list(range(len(parts)))
        axes.bar(places, tall, color=BAR_COLOUR, width=0.72, zorder=2)
        top = max([*tall, 100 * (change.whole.relative or 0.0)]) or 1.0
        every = -(-len(parts) // most)
        for place, part in enumerate(parts):
            if part.relative is None or every == 1:
                words = "not defined" if part.relative is None else f"{100 * part.relative:.3g}"
                axes.text(
                    place, tall[place] + 0.02 * top, words, ha="center", va="bottom", color=INK,
                    fontsize=size(0.9 if len(parts) <= most // 2 else 0.7),
                    rotation=90 if part.relative is None else 0,
                )  # fmt: skip
        if change.whole.relative is not None:
            whole = 100 * change.whole.relative
            axes.axhline(
                whole, color=INK, lw=1.2, ls=(0, (4, 3)), zorder=3,
                label=f"all weights {whole:.3g} %",
            )  # fmt: skip
            screen = {"bbox_to_anchor": (-0.012, 1.0), "borderaxespad": 0.2}
            sheet.legend(axes, *axes.get_legend_handles_labels(), screen)
        named = [
            place
            for place, part in enumerate(parts)
            if place % every == 0 or not part.where.startswith("layer ")
        ]
        axes.set_xticks(named, [plain(parts[place].where, 16) for place in named])
        for label in axes.get_xticklabels():
            label.set_parse_math(False)
            label.set_fontsize(size(0.9))
            if turned:
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.6, len(parts) - 0.4)
        axes.set_ylim(0, 1.14 * top)
        axes.set_ylabel(
            "distance (% of norm)" if sheet.narrow else "distance (% of the base's norm)"
        )
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def _head(figure: Figure, change: Change, sheet: Sheet) -> None:
    title = f"what moved from {plain(change.base, 28)} to {plain(change.tuned, 28)}"
    weights = sum(part.weights for part in change.layers)
    words = f"{len(change.layers)} parts of {weights:,} weights"
    if sheet.printed:
        sheet.lines(figure, title, words)
        return
    height = figure.get_figheight()
    figure.text(
        0.025, 1 - 0.30 / height, title if sheet.title is None else plain(sheet.title, 66),
        fontsize=13, fontweight="bold", parse_math=False,
    )  # fmt: skip
    figure.text(
        0.025, 1 - 0.54 / height, f"{words}   ·   norm layers count to their block", fontsize=9,
        color=QUIET,
    )  # fmt: skip
