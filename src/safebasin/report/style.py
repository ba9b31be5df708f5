"""Colours, fonts and saving that every picture shares."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.errors import UsageError
from safebasin.exchange import Outcome
from safebasin.run.atomic import prepare_folder, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by the colour-blind, and by lightness in a grey print.
REFUSED_COLOUR = "#0072B2"
COMPLIED_COLOUR = "#E69F00"
INCOHERENT_COLOUR = "#D9D9D9"
OUTCOME_COLOURS: dict[Outcome, str] = {
    "refused": REFUSED_COLOUR,
    "complied": COMPLIED_COLOUR,
    "incoherent": INCOHERENT_COLOUR,
}
OUTCOME_HATCHES: dict[Outcome, str] = {"refused": "", "complied": "\\\\\\", "incoherent": "..."}
OUTCOME_INKS: dict[Outcome, str] = {**OUTCOME_COLOURS, "incoherent": "#5A5A5A"}
"""The colours where an outcome stands alone on white, as a line or a full tint."""
TERMINAL_COLOURS: dict[Outcome, str] = {
    "refused": "#56B4E9",
    "complied": "#E69F00",
    "incoherent": "#9A9A9A",
}
"""The same hues, for text on a dark or a light terminal."""
ASR_COLOUR = "#B8400A"
ASR_COLOURS = {"light": ASR_COLOUR, "dark": "#F08A5D"}
COMPARED_COLOURS = ("#0072B2", ASR_COLOUR, "#009E73", "#CC79A7", "#3B93C9", "#7A5C00")
"""One a judge or run where several are in one picture, each with a line style of its own too."""
CAPABILITY_COLOURS = ("#7A3E9D", "#3A3A3A", "#CC79A7", "#7A5C00")
"""One a capability, each with a marker and a dash of its own; beside ASR_COLOUR in one picture."""
CAPABILITY_THEMES = {
    "light": CAPABILITY_COLOURS,
    "dark": ("#C79BE6", "#D8D8D8", "#F0A6CC", "#D9B64A"),
}
"""The same for a page that may be dark."""
BASIN_COLOUR = "#009E73"
BASIN_INK = "#00694D"
INK = "#222222"
QUIET = "#666666"
COMPARED = {
    "light": COMPARED_COLOURS,
    "dark": ("#3D9BD9", ASR_COLOURS["dark"], "#2FC59A", "#E39BC4", "#B9E2FA", "#D3B04A"),
}
"""The same hues by theme, each with a contrast of at least 3 to its paper."""
RATE_MAP = "cividis"
"""Dark blue (refused) to yellow (attack succeeds): even in lightness, safe for the colour-blind."""
RATE_COLOURS = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78",
    "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838",
)  # fmt: skip
"""RATE_MAP from 0 to 1 in steps of 0.1, for what cannot ask matplotlib."""

FORMATS = ("png", "svg")
KNOWN_FORMATS = (*FORMATS, "pdf")
_TIMELESS: dict[str, dict[str, None]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
FONT_SIZE = 10.0
"""Points of an axis' name on a screen; other texts are in proportion (see `size`)."""
_RC: dict[str, Any] = {
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "legend.frameon": False,
    # Text can then be searched, copied and set in the font of a paper.
    "svg.fonttype": "none",
    "svg.hashsalt": "safebasin",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
}


@contextmanager
def styled(points: float = FONT_SIZE, dpi: float = 200) -> Iterator[None]:
    """Our look, whatever the user's matplotlibrc says; theirs is back afterwards.

    points  the size of letters; lines are as on a screen in proportion, where that is thinner
    dpi     dots an inch of a PNG, and of what is a picture inside an SVG or a PDF
    """
    from matplotlib import style

    letters = {"font.size": points, "legend.fontsize": 0.9 * points}
    thinner = min(1.0, points / FONT_SIZE)
    lines = {
        name: thinner * usual
        for name, usual in (
            ("axes.linewidth", 0.8), ("xtick.major.width", 0.8), ("ytick.major.width", 0.8),
            ("xtick.major.size", 3.5), ("ytick.major.size", 3.5), ("hatch.linewidth", 0.6),
            ("axes.labelpad", 4.0), ("xtick.major.pad", 3.5), ("ytick.major.pad", 3.5),
        )
    }  # fmt: skip
    with style.context(["default", {**_RC, **letters, **lines, "savefig.dpi": dpi}]):
        yield


def size(share: float) -> float:
    """Points: this share of the letters of an axis' name, inside `styled`."""
    from matplotlib import rcParams

    return share * float(rcParams["font.size"])


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write a picture in each format into a folder of its own, such as a run's `figures`.

    The same picture gives the same bytes. Raises UsageError for an unknown format, RunError where
    the folder is a link or a file cannot be written; what it held before is intact.
    """
    drawn = {f"{name}.{form}": picture(figure, form) for form in formats}
    prepare_folder(folder)
    for file, data in drawn.items():
        write_atomic(folder / file, data)
    return [folder / file for file in drawn]


def picture(figure: Figure, form: str) -> bytes:
    """A picture as the bytes of a file. Raises UsageError for an unknown format."""
    if form not in KNOWN_FORMATS:
        raise UsageError(
            f"Pictures cannot be written as '{form}'.", f"Use {', '.join(KNOWN_FORMATS)}."
        )
    data = BytesIO()
    figure.savefig(data, format=form, metadata=_TIMELESS[form])
    return data.getvalue()


def plain(text: str, limit: int) -> str:
    """Foreign text that the font can draw on one line: no control characters, cut in the middle.

    Draw it with `parse_math=False`, or dollar signs turn it into formulae.
    """
    shown = "".join(
        char if ord(char) in _drawable() else "\ufffd"
        for char in " ".join(text.split())
        if not unicodedata.category(char).startswith("C")
    )
    if len(shown) <= limit:
        return shown
    head = (limit - 1) // 2
    return f"{shown[:head]}…{shown[len(shown) - (limit - 1 - head) :]}"


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
