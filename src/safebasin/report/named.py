"""One picture of a run by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.errors import UsageError
from safebasin.landscape import TOLERANCE, Survey
from safebasin.landscape.capability import Capability
from safebasin.report.capability import capability_curve, capability_map
from safebasin.report.figures import curve, shares_curve
from safebasin.report.maps import contour, shares_map
from safebasin.report.sheet import SCREEN, Sheet
from safebasin.report.studies import Way, read_study
from safebasin.report.surface import surface
from safebasin.terminal import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = {"curve": (1,), "contour": (2,), "surface": (2,), "shares": (1, 2), "capability": (1, 2)}
"""What can be drawn, and of how many axes."""


STUDY_FIGURES = ("trajectory", "layers")
"""The pictures of a whole trajectory or comparison."""


def check_kind(folder: Path, name: str) -> None:
    """Raises UsageError for an unknown name, and for a folder that is more than one run."""
    if name not in AXES:
        every = ", ".join((*AXES, *STUDY_FIGURES))
        raise UsageError(f"There is no figure '{name}'.", f"Give one of {every}.")
    study = read_study(folder)
    if study is None:
        return
    kind, own = ("trajectory", "trajectory") if isinstance(study, Way) else ("comparison", "layers")
    inside = study.runs(folder)[0]
    raise UsageError(
        f"'{printable(str(folder))}' is the folder of a {kind}, of which a {name} cannot be drawn.",
        f"Give --figure {own}, or the run in it: {printable(str(inside))}.",
    )


def named_figure(
    name: str,
    survey: Survey,
    shares: Survey | None,
    *,
    model: str,
    prompts: str,
    tolerance: float = TOLERANCE,
    plane: int = 1,
    capabilities: Sequence[Capability] = (),
    sheet: Sheet = SCREEN,
    elevation: float | None = None,
    azimuth: float | None = None,
) -> Figure:
    """The picture of this name.

    `plane` chooses one of several planes, from 1; a line's pictures hold all directions.
    `elevation` and `azimuth` are the angles of a surface. Raises UsageError for an unknown name,
    where the picture does not suit the run, and for angles of a picture that has none.
    """
    if name != "surface" and not (elevation is None and azimuth is None):
        raise UsageError(
            f"A {name} is not seen from an angle.", "Leave out --elevation and --azimuth."
        )
    look: dict[str, Any] = {"model": model, "prompts": prompts, "sheet": sheet}
    axes, count = len(survey.plane.axes), len(survey.landscapes)
    if name not in AXES:
        raise UsageError(f"There is no figure '{name}'.", f"Give one of {', '.join(AXES)}.")
    if axes not in AXES[name]:
        fitting = [known for known, suits in AXES.items() if axes in suits]
        raise UsageError(
            f"A {name} cannot be drawn of a {'line' if axes == 1 else 'plane'}.",
            f"Give --figure {' or '.join(fitting)}.",
        )
    if not 1 <= plane <= count:
        raise UsageError(f"There is no plane {plane}.", f"Give --plane 1 to {count}.")
    if name == "curve":
        return curve(survey, shares=shares, capabilities=capabilities, tolerance=tolerance, **look)
    if name == "capability":
        if axes == 1:
            return capability_curve(survey, capabilities, **look)
        return capability_map(survey, capabilities, plane - 1, **look)
    if name == "shares":
        if shares is None:
            raise UsageError(
                "No judge of this run tells broken text from compliance.",
                "Give it one with `safebasin rejudge RUN --judge llm-landscape,outcome`.",
            )
        if axes == 1:
            return shares_curve(shares, **look)
        return shares_map(shares.landscapes[plane - 1], **look)
    one = Survey((survey.landscapes[plane - 1],), survey.level, survey.replicates, survey.seed)
    if name == "contour":
        return contour(one, tolerance=tolerance, **look)
    return surface(one, elevation=elevation, azimuth=azimuth, **look)
