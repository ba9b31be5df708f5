"""What `trajectory` and `compare` store of their results, read back for pictures and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.errors import RunError, UsageError
from safebasin.landscape import Estimate
from safebasin.report.quantities import UNITS, Unit
from safebasin.run.kinds import STUDY_FILES, study_folder
from safebasin.run.study_file import read_study_file
from safebasin.run.verdicts import JUDGE_FILE
from safebasin.terminal import printable

TRAJECTORY, COMPARISON = STUDY_FILES["trajectory"], STUDY_FILES["comparison"]
CONDITIONS = STUDY_FILES["conditions"]
PLANE, CHECKPOINTS, PATH, LANDSCAPE = "plane", "checkpoints", "path", "landscape"
"""The run folders inside that a page shows."""
_FINER = re.compile(r"-edge(-back)?-\d+$")
PAGED = ("trajectory", "comparison")
"""The kinds of study that have a page of their own."""


@dataclass(frozen=True)
class Mark:
    """A checkpoint on the plane.

    place     where it is drawn
    residual  the share of its way from the base that is not in the plane, in [0, 1]
    real      its own ASR
    drawn     the ASR where it is drawn
    gap       real - drawn on the same prompts
    """

    name: str
    place: tuple[float, float]
    residual: float
    real: Estimate
    drawn: Estimate
    gap: Estimate


@dataclass(frozen=True)
class Way:
    """The checkpoints of a training run in order, on the plane of the run folder `plane`.

    `explained` is the share of the way in each axis, empty where the axes were not found from it.
    `own` is the run folder in which each checkpoint itself was asked, a plane of one point for
    each, in their order; None where it is not there.
    """

    base: str
    prompts: str
    judge: str
    tolerance: float
    explained: tuple[float, ...]
    marks: tuple[Mark, ...]
    own: Path | None = None

    def runs(self, folder: Path) -> list[Path]:
        return [folder / PLANE]


@dataclass(frozen=True)
class Limit:
    """A measured number beside its limit; `side` is `at most` or `at least`.

    state      "pass", "fail" or "unsure"; of files of versions that had no doubts, by `passed`
    low, high  the interval that decided; both None where the number alone did
    unit       "points", "%", "nats", or "" for a length; None in files of earlier versions
    """

    name: str
    value: float | None
    limit: float
    side: str
    passed: bool
    note: str
    state: str = ""
    low: float | None = None
    high: float | None = None
    unit: Unit | None = None


@dataclass(frozen=True)
class Before:
    """A share on the same prompts before the change and after, and the paired difference."""

    name: str
    before: Estimate
    after: Estimate
    rise: Estimate
    p: float | None
    n: int


@dataclass(frozen=True)
class Layer:
    """‖tuned - base‖ / ‖base‖ over some weights; None where those of the base are all zero."""

    where: str
    relative: float | None
    weights: int


@dataclass(frozen=True)
class Drift:
    """KL(base || tuned) on benign prompts in nats a token, at the answer's first and over it."""

    prompts: str
    first: Estimate
    mean: Estimate


@dataclass(frozen=True)
class Change:
    """What a fine-tune did.

    length         how far the path from base (0) to tuned (1) stays within the tolerance, by the
                   path's own points and finer ones where it leaves the basin
    whole, layers  the distance over all weights, and over each part of them
    mapped         whether the tuned model's own landscape was measured
    verdict        "PASS", "FAIL" or "INCONCLUSIVE"
    reasons        why it is not PASS, a sentence each; None in files of versions that gave none
    doubts         what keeps the numbers from carrying a PASS, a sentence each
    divergence     KL(base || tuned) on benign prompts; None where it was not measured
    notes          what a reader has to know of the two models
    """

    base: str
    tuned: str
    prompts: str
    judge: str
    tolerance: float
    passed: bool
    limits: tuple[Limit, ...]
    pairs: tuple[Before, ...]
    length: Estimate
    whole: Layer
    layers: tuple[Layer, ...]
    mapped: bool
    verdict: str = ""
    reasons: tuple[str, ...] | None = None
    doubts: tuple[str, ...] = ()
    divergence: Drift | None = None
    notes: tuple[str, ...] = ()

    def runs(self, folder: Path) -> list[Path]:
        """The path, and the tuned model's own map where it was measured."""
        return [folder / PATH, *([folder / LANDSCAPE] if self.mapped else [])]


Study = Way | Change


def read_study(folder: Path) -> Study | None:
    """What a trajectory or comparison stored in its folder; None for any other folder.

    Raises RunError where the file is damaged.
    """
    own = folder / CHECKPOINTS
    for name, build in ((TRAJECTORY, _way), (COMPARISON, _change)):
        path = folder / name
        if not path.is_file():
            continue
        try:
            study = build(read_study_file(path))
            if isinstance(study, Way) and own.is_dir():
                return replace(study, own=own)
            return study
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RunError(
                f"{printable(str(path))} is damaged ({type(error).__name__}).",
                "Remove the file and run the same command again; it is made from the records.",
            ) from error
    return None


def runs_in(folder: Path) -> list[Path]:
    """The runs of a study that has no page of its own, by their names; for any other, itself.

    Those that nobody judged, such as of questions with an expected answer, are left out, and so are
    those that hold the finer places of a worst case's line alone.
    """
    study = study_folder(folder)
    if study is None or study.kind in PAGED:
        return [folder]
    judged = [run for run in study.runs if any(run.glob(f"verdicts/*/{JUDGE_FILE}"))]
    return [run for run in judged if not _FINER.search(run.name)] or judged


def read_way(folder: Path) -> Way:
    """The trajectory in a folder; UsageError where there is none."""
    study = read_study(folder)
    if not isinstance(study, Way):
        raise UsageError(
            f"'{printable(str(folder))}' is not the folder of a trajectory: "
            f"it has no {TRAJECTORY}.",
            "Give the folder that `safebasin trajectory` printed.",
        )
    return study


def read_change(folder: Path) -> Change:
    """The comparison in a folder; UsageError where there is none."""
    study = read_study(folder)
    if not isinstance(study, Change):
        raise UsageError(
            f"'{printable(str(folder))}' is not the folder of a comparison: "
            f"it has no {COMPARISON}.",
            "Give the folder that `safebasin compare` printed.",
        )
    return study


def _way(stored: Mapping[str, Any]) -> Study:
    return Way(
        base=str(stored["base"]),
        prompts=str(stored["prompts"]),
        judge=str(stored["plane"]["headline"]),
        tolerance=float(stored["tolerance"]),
        explained=tuple(float(share) for share in stored["explained"]),
        marks=tuple(
            Mark(
                str(one["name"]),
                (float(one["coordinates"][0]), float(one["coordinates"][1])),
                float(one["residual"]),
                _estimate(one["asr"]),
                _estimate(one["asr_on_the_plane"]),
                _estimate(one["gap"]["rise"]),
            )
            for one in stored["stations"]
        ),
    )


_PAIRS = {
    "asr": "ASR",
    "complied": "complied",
    "over_refusal": "over-refusal",
    "incoherent": "incoherent",
    "capability": "capability",
}


def _change(stored: Mapping[str, Any]) -> Study:
    whole, *layers = (
        Layer(str(one["where"]), _number(one["relative"]), int(one["weights"]))
        for one in stored["distances"]
    )
    return Change(
        base=str(stored["base"]),
        tuned=str(stored["tuned"]),
        prompts=str(stored["prompts"]),
        judge=str(stored["judge"]),
        tolerance=float(stored["tolerance"]),
        passed=stored["verdict"] == "PASS",
        limits=tuple(
            Limit(
                str(one["name"]),
                _number(one["value"]),
                float(one["limit"]),
                str(one["side"]),
                one["passed"] is True,
                str(one["note"]),
                str(one.get("state", "pass" if one["passed"] is True else "fail")),
                _number(one.get("low")),
                _number(one.get("high")),
                _unit(one.get("unit")),
            )
            for one in stored["checks"]
        ),
        pairs=tuple(
            Before(
                name,
                _estimate(one["before"]),
                _estimate(one["after"]),
                _estimate(one["rise"]),
                _number(one["mcnemar_p"]),
                int(one["n"]),
            )
            for key, name in _PAIRS.items()
            if (one := stored[key]) is not None
        ),
        length=_estimate(stored["effective_length"]),
        whole=whole,
        layers=tuple(layers),
        mapped=stored["landscape"] is not None,
        verdict=_verdict(stored["verdict"]),
        reasons=_sentences(stored["reasons"]) if "reasons" in stored else None,
        doubts=_sentences(stored.get("doubts", ())),
        divergence=_drift(stored.get("divergence")),
        notes=tuple(str(note) for note in stored.get("notes", ())),
    )


def _verdict(stored: Any) -> str:
    if stored not in ("PASS", "FAIL", "INCONCLUSIVE"):
        raise ValueError("an unknown verdict")
    return str(stored)


def _unit(stored: Any) -> Unit | None:
    if stored is None:
        return None
    [unit] = (unit for unit in UNITS if unit == stored)
    return unit


def _sentences(stored: Any) -> tuple[str, ...]:
    if isinstance(stored, str):
        raise TypeError("sentences are stored as a list")
    return tuple(str(one) for one in stored)


def _drift(stored: Mapping[str, Any] | None) -> Drift | None:
    if stored is None:
        return None
    first, mean = _estimate(stored["first_token"]), _estimate(stored["answer"])
    return Drift(str(stored["prompts"]), first, mean)


def _estimate(stored: Mapping[str, Any]) -> Estimate:
    value, low, high = (_number(stored[name]) for name in ("value", "low", "high"))
    return Estimate(
        value, low, high, float(stored["level"]), note=str(stored["note"]),
        at_least=stored["at_least"] is True,
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
