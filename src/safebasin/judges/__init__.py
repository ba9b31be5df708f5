"""Judges: what an answer amounts to. Text in, verdicts out; no torch here.

A judge is a small frozen object with a name, a specification that rebuilds it, and one method.
Any object of the protocol `Judge` is taken, or an import path to one; other packages may give
theirs names by the entry points `safebasin.judges`.
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
    ReadsOrigin,
    budget_for,
    common_stop_rule,
)
from safebasin.judges.refusal import RefusalJudge
from safebasin.judges.registry import (
    build,
    build_all,
    check_judges,
    names,
    rebuild,
    require_headline,
    stored,
)
from safebasin.judges.soundness import verdicts_of
from safebasin.judges.stored import StoredJudge

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
    "ReadsOrigin",
    "RefusalJudge",
    "StoredJudge",
    "Thresholds",
    "budget_for",
    "build",
    "build_all",
    "calibrate",
    "check_judges",
    "common_stop_rule",
    "evaluate",
    "names",
    "rebuild",
    "require_headline",
    "stored",
    "verdicts_of",
]
