"""What every picture carries: the heading, and the check that the plane suits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safebasin.errors import UsageError
from safebasin.landscape import TOLERANCE, Survey
from safebasin.report.style import QUIET, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_ROWS = (0.30, 0.54, 0.74)  # inches from the top
_TITLE: dict[str, Any] = {"fontsize": 13, "fontweight": "bold"}
_SMALL: dict[str, Any] = {"fontsize": 9, "color": QUIET}
_GAP = 0.2  # inches between the left and the right half


def heading(figure: Figure, survey: Survey, model: str, prompts: str) -> None:
    """Model, prompts and judge on the left; VISAGE, the headline number, on the right."""
    count = len(survey.landscapes)
    what = "direction" if len(survey.plane.axes) == 1 else "plane"
    tail = f"   ·   {count} {what}{'s' if count > 1 else ''}"
    if survey.unjudged:
        tail += f"   ·   {survey.unjudged} answers not judged"
    left = (("", model, ""), ("prompts: ", prompts, ""), ("judge: ", survey.judge, tail))
    for row, parts, words in zip(_ROWS, left, _headline(survey), strict=True):
        look = _TITLE if row == _ROWS[0] else _SMALL
        height = 1 - row / figure.get_figheight()
        edge = figure.text(0.975, height, words, ha="right", **look).get_window_extent().x0
        _fitted(figure, height, parts, edge - _GAP * figure.dpi, look)


def _headline(survey: Survey) -> tuple[str, str, str]:
    """VISAGE, its interval, and what speaks against it; empty where not known."""
    visage = survey.visage()
    if visage.value is None:
        return "VISAGE not defined", "", ""
    if all(landscape.nothing_refused for landscape in survey.landscapes):
        return "VISAGE undefined", "no answer at any point is a refusal", ""
    interval = dependence = ""
    if visage.low is not None and visage.high is not None:
        interval = f"{visage.low:.0f} to {visage.high:.0f} ({100 * visage.level:g} % interval)"
    at = None if survey.origin is None else survey.origin.asr.value
    if at is not None and at > TOLERANCE:
        dependence = f"has no meaning: over {100 * TOLERANCE:g} % at the origin"
    elif len(survey.plane.axes) == 1:
        basin = survey.basin()
        sides = [side for side in (basin.negative, basin.positive) if side.reach]
        if short := sum(side.directions - side.plateaus for side in sides):
            ends = sum(side.directions for side in sides)
            dependence = f"depends on the range: {short} of {ends} ends < 99 %"
    return f"VISAGE {visage.value:.1f}", interval, dependence


def _fitted(
    figure: Figure, height: float, parts: tuple[str, str, str], edge: float, look: dict[str, Any]
) -> None:
    """Text from the left margin, its foreign middle part cut until it ends before `edge`."""
    before, foreign, after = parts
    text = figure.text(0.025, height, "", parse_math=False, **look)
    for limit in range(80, 5, -2):
        text.set_text(f"{before}{plain(foreign, limit)}{after}")
        if text.get_window_extent().x1 <= edge:
            return


def need_axes(survey: Survey, count: int) -> None:
    if len(survey.plane.axes) != count:
        raise UsageError(
            f"This picture is of {count} axes, the plane has {len(survey.plane.axes)}.",
            "Draw a line with curve(), a plane with contour() or surface().",
        )
