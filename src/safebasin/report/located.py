"""Pictures of where something lies in a model: by kind of weight and block, or by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safebasin.landscape import Estimate
from safebasin.report.style import (
    COMPARED_COLOURS,
    FORMATS,
    QUIET,
    RATE_MAP,
    plain,
    save,
    size,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 24
"""So many blocks have their number beneath them; of more, every so many do."""


def draw_located(figure: Callable[[], Figure], folder: Path) -> list[Path]:
    """Write what `figure` makes as `located.png` and its other formats; returns the files."""
    with styled():
        return save(figure(), folder, "located", FORMATS)


def located_figure(
    shares: Mapping[str, Mapping[int, float]],
    title: str,
    meaning: str = "% of the matrix in the set",
) -> Figure:
    """A cell for each block (across) and kind of weight (down): the share in per cent.

    What a block does not have is left white. Drawn inside `styled`.
    """
    from matplotlib.figure import Figure

    kinds = list(shares)
    blocks = sorted({block for row in shares.values() for block in row})
    values = np.array(
        [[100 * shares[kind].get(block, np.nan) for block in blocks] for kind in kinds]
    )
    figure = Figure(figsize=(7.2, 1.5 + 0.32 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, aspect="auto", cmap=RATE_MAP, vmin=0)
    every = -(-len(blocks) // _MOST)
    axes.set_xticks(range(0, len(blocks), every), [str(block) for block in blocks[::every]])
    axes.set_yticks(range(len(kinds)), [plain(kind, 30) for kind in kinds], parse_math=False)
    axes.set_xlabel("block")
    axes.set_title(plain(title, 70), fontsize=size(1.0), parse_math=False)
    figure.colorbar(image, ax=axes, label=meaning)
    return figure


def sweeps_figure(
    sweeps: Mapping[str, Sequence[tuple[int, float]]],
    baseline: float | None,
    title: str,
    meaning: str,
) -> Figure:
    """A line for each sweep over the blocks, and a dashed one at the model itself.

    Drawn inside `styled`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    if baseline is not None:
        axes.axhline(baseline, color=QUIET, lw=1, ls=(0, (4, 3)), label="unscaled")
    for (which, row), colour in zip(sweeps.items(), COMPARED_COLOURS, strict=False):
        places, values = [bound for bound, _ in row], [one for _, one in row]
        axes.plot(places, values, "o-", color=colour, ms=4, label=f"{plain(which, 20)} bound")
    blocks = sorted({bound for row in sweeps.values() for bound, _ in row})
    axes.set_xticks(blocks[:: -(-len(blocks) // _MOST)])
    axes.set_xlabel("block")
    axes.set_ylabel(meaning)
    axes.set_title(plain(title, 70), fontsize=size(1.0), parse_math=False)
    axes.legend()
    return figure


def blocks_figure(
    values: Sequence[Estimate],
    title: str,
    meaning: str,
    curves: Mapping[str, Sequence[Estimate]] | None = None,
    of_curves: str = "",
) -> Figure:
    """A point with its interval for each block, and a line at 0. Drawn inside `styled`.

    Beneath them, where there are `curves`, a line of each with its interval, and what they are of.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.6 if curves else 3.6), layout="constrained")
    axes, *below = figure.subplots(2 if curves else 1, sharex=True, squeeze=False)[:, 0]
    axes.axhline(0, color=QUIET, lw=1, ls=(0, (4, 3)))
    for block, one in enumerate(values):
        if one.value is None:
            continue
        low, high = (one.value if bound is None else bound for bound in (one.low, one.high))
        axes.vlines(block, low, high, color=COMPARED_COLOURS[0], lw=2)
        axes.plot([block], [one.value], "o", color=COMPARED_COLOURS[0], ms=5)
    every = -(-len(values) // _MOST)
    axes.set_xticks(range(0, len(values), every))
    axes.set_ylabel(meaning)
    axes.set_title(plain(title, 70), fontsize=size(1.0), parse_math=False)
    for lower in below:
        _curves(lower, curves or {}, of_curves)
    figure.axes[-1].set_xlabel("block")
    return figure


def _curves(axes: Axes, curves: Mapping[str, Sequence[Estimate]], meaning: str) -> None:
    for (name, row), colour in zip(curves.items(), COMPARED_COLOURS, strict=False):
        known = [(b, one, one.value) for b, one in enumerate(row) if one.value is not None]
        places = [block for block, _, _ in known]
        low = [mid if one.low is None else one.low for _, one, mid in known]
        high = [mid if one.high is None else one.high for _, one, mid in known]
        axes.plot(places, [m for _, _, m in known], "o-", color=colour, ms=3, label=plain(name, 30))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
    axes.set_ylabel(meaning)
    axes.legend()
