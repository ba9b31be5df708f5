"""The paper that a picture is for: its width, the size of its letters, its title.

Without any of these a picture is for the screen, with the whole heading. With a width or a size of
letters it is for a column of a paper: the title and one line, and everything else laid out so that
nothing is clipped and nothing lies on anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safebasin.errors import UsageError
from safebasin.landscape import Survey
from safebasin.report.layout import heading
from safebasin.report.style import FONT_SIZE, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

COLUMN = 3.25
"""Inches of a column in many journals; what a size of letters alone is laid out for."""
PRINT_SIZE = 8.0
"""Points of the letters in a column where only a width is given."""
NARROWEST, WIDEST = 2.5, 20.0
SMALLEST, LARGEST = 4.0, 24.0
BESIDE = 52
"""So many letters of a line are enough for maps side by side."""
_MARGIN = 0.03
"""Inches around everything."""


@dataclass(frozen=True)
class Sheet:
    """width     inches; None for a picture on a screen
    font_size  points of an axis' name; None for 8 where a width is given
    title      in the place of the model's name; "" for none
    """

    width: float | None = None
    font_size: float | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not NARROWEST <= self.width <= WIDEST:
            raise UsageError(
                f"The width of a picture is {self.width:g} inches.",
                f"Give --width {NARROWEST:g} to {WIDEST:g}, such as {COLUMN:g} for a column.",
            )
        if self.font_size is not None and not SMALLEST <= self.font_size <= LARGEST:
            raise UsageError(
                f"The size of letters is {self.font_size:g} points.",
                f"Give --font-size {SMALLEST:g} to {LARGEST:g}.",
            )
        if self.printed and self.letters < 30:
            raise UsageError(
                f"Letters of {self.points:g} points are too large for a picture of "
                f"{self.inches:g} inches.",
                "Give a larger --width, or a smaller --font-size.",
            )

    @property
    def printed(self) -> bool:
        """Whether it is for a column and not for a screen."""
        return self.width is not None or self.font_size is not None

    @property
    def inches(self) -> float:
        return COLUMN if self.width is None else self.width

    @property
    def points(self) -> float:
        if self.font_size is not None:
            return self.font_size
        return PRINT_SIZE if self.printed else FONT_SIZE

    @property
    def letters(self) -> int:
        """About how many letters a line of the picture holds."""
        return int(72 * self.inches / (0.62 * self.points))

    @property
    def narrow(self) -> bool:
        """Whether maps go under one another instead of side by side."""
        return self.printed and self.letters < BESIDE + 30

    def styled(self) -> AbstractContextManager[None]:
        """Our look with letters of this size."""
        return styled(self.points, 300 if self.printed else 200)

    def figure(self, screen: tuple[float, float], ratio: float, *, maps: bool = False) -> Figure:
        """A figure of `screen` inches, or, for a column, of its width and `ratio` times as high,
        with the room of its own title on top; `maps` have panels of a shape of their own.
        """
        from matplotlib.figure import Figure

        if not self.printed:
            return Figure(figsize=screen)
        figure = Figure(
            figsize=(self.inches, ratio * self.inches + 2 * 1.4 * self.points / 72),
            layout="compressed" if maps else "constrained",
        )
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=_MARGIN, h_pad=_MARGIN, hspace=0.0, wspace=0.0)
        return figure

    def head(self, figure: Figure, survey: Survey, model: str, prompts: str) -> None:
        """The heading of a screen, or the two lines of a column."""
        if not self.printed:
            heading(figure, survey, model if self.title is None else self.title, prompts)
            return
        visage = survey.visage()
        if visage.value is None:
            words = "VISAGE not defined"
        elif visage.low is None or visage.high is None:
            words = f"VISAGE {visage.value:.1f}"
        else:
            words = f"VISAGE {visage.value:.1f} ({visage.low:.0f} to {visage.high:.0f})"
        tail = f" · {survey.unjudged} not judged" if survey.unjudged else ""
        self.lines(figure, model, f"{words} · {survey.judge}{tail}")

    def lines(self, figure: Figure, title: str, under: str) -> None:
        """A title, that of the sheet instead where it has one, and a line under it; cut to fit.

        With an empty title there is neither: the caption says it.
        """
        title = title if self.title is None else self.title
        if not title:
            return
        text = figure.suptitle("", fontsize=self.points, parse_math=False)
        cut = []
        for line in (title, under):
            shown = ""
            for limit in range(max(len(line), 8), 7, -1):
                shown = plain(line, limit)
                text.set_text(shown)
                if text.get_window_extent().width <= figure.bbox.width - 2 * _MARGIN * figure.dpi:
                    break
            cut.append(shown)
        text.set_text("\n".join(cut))

    def legend(
        self, axes: Axes, handles: Sequence[Any], labels: Sequence[str], screen: Mapping[str, Any]
    ) -> Legend:
        """A legend above a panel: as on a screen, or in as many rows as its width takes."""
        if not self.printed:
            legend = axes.legend(handles, labels, loc="lower left", **screen)
            return _literal(legend)
        figure = axes.get_figure()
        room = (self.inches - 5.5 * self.points / 72) * figure.dpi if figure else 0.0
        for columns in range(len(labels), 0, -1):
            legend = axes.legend(
                handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns,
                borderaxespad=0.2, borderpad=0.1, handlelength=1.5, columnspacing=0.9,
                handletextpad=0.5, labelspacing=0.25,
            )  # fmt: skip
            if columns == 1 or _width(legend) <= room:
                break
        return _literal(legend)


SCREEN = Sheet()
"""A picture for a screen, as every run draws them."""


def _width(legend: Legend) -> float:
    """Pixels, before anything is laid out."""
    return float(legend.get_window_extent().width)


def _literal(legend: Legend) -> Legend:
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend
