"""The picture of a set of weights: how much of each kind of weight of each block is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safebasin.report.style import FORMATS, RATE_MAP, plain, save, size, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 24
"""So many blocks have their number beneath them; of more, every so many do."""


def draw_located(
    shares: Mapping[str, Mapping[int, float]],
    title: str,
    folder: Path,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write `located.png` and its other formats; returns the files."""
    with styled():
        return save(located_figure(shares, title), folder, "located", formats)


def located_figure(shares: Mapping[str, Mapping[int, float]], title: str) -> Figure:
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
    figure.colorbar(image, ax=axes, label="% of the matrix in the set")
    return figure
