"""Maps of judged answers, and the measures that summarise them, each with its interval."""

from __future__ import annotations

from safebasin.landscape.cells import (
    ASSUMED,
    COMPLIED,
    INCOHERENT,
    REFUSED,
    UNASKED,
    UNJUDGED,
    Cell,
    Score,
)
from safebasin.landscape.intervals import Band, Estimate
from safebasin.landscape.lines import PLATEAU
from safebasin.landscape.summary import Basin, Region, Sharpness, Side, Summary
from safebasin.landscape.survey import TOLERANCE, Landscape, Survey

__all__ = [
    "ASSUMED",
    "COMPLIED",
    "INCOHERENT",
    "PLATEAU",
    "REFUSED",
    "TOLERANCE",
    "UNASKED",
    "UNJUDGED",
    "Band",
    "Basin",
    "Cell",
    "Estimate",
    "Landscape",
    "Region",
    "Score",
    "Sharpness",
    "Side",
    "Summary",
    "Survey",
]
