"""Judges held against each other and against humans, and what their mistakes do to an ASR."""

from __future__ import annotations

from safebasin.agreement.calibrating import calibrate_judge
from safebasin.agreement.labelled import Labelled, read_labelled
from safebasin.agreement.measures import Agreement, agreement
from safebasin.agreement.prevalence import Calibration, Rates, calibration, pooled, rogan_gladen
from safebasin.agreement.runs import JudgeComparison, compare_judges

__all__ = [
    "Agreement",
    "Calibration",
    "JudgeComparison",
    "Labelled",
    "Rates",
    "agreement",
    "calibrate_judge",
    "calibration",
    "compare_judges",
    "pooled",
    "read_labelled",
    "rogan_gladen",
]
