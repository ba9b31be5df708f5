"""Judges: what an answer amounts to. Text in, verdicts out; no torch here.

A judge is a small frozen object with a name, a specification that rebuilds it, and one method.
Other packages add theirs by the entry points `safebasin.judges`.
"""

from __future__ import annotations

from safebasin.judges.calibration import CalibrationReport, calibrate, evaluate
from safebasin.judges.coherence import Coherence, Thresholds
from safebasin.judges.keywords import KeywordJudge
from safebasin.judges.lexicon import Lexicon
from safebasin.judges.outcome import OutcomeJudge
from safebasin.judges.protocol import (
    AsksAgain,
    DecidesEarly,
    Footprint,
    HoldsModel,
    Judge,
    Measure,
    budget_for,
    common_stop_rule,
)
from safebasin.judges.refusal import RefusalJudge
from safebasin.judges.registry import build, check_judges, names, rebuild, require_headline

__all__ = [
    "AsksAgain",
    "CalibrationReport",
    "Coherence",
    "DecidesEarly",
    "Footprint",
    "HoldsModel",
    "Judge",
    "KeywordJudge",
    "Lexicon",
    "Measure",
    "OutcomeJudge",
    "RefusalJudge",
    "Thresholds",
    "budget_for",
    "build",
    "calibrate",
    "check_judges",
    "common_stop_rule",
    "evaluate",
    "names",
    "rebuild",
    "require_headline",
]
