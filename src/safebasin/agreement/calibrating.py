"""Judges held against human labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from safebasin.agreement.labelled import Labelled
from safebasin.agreement.prevalence import Calibration, Partial, Rates, calibration
from safebasin.errors import UsageError
from safebasin.judges import Judge, verdicts_of


def check_judge(judge: Judge) -> None:
    """Raises UsageError for a judge that recognises broken text alone."""
    if judge.measures == "coherence":
        raise UsageError(
            f"The judge '{judge.name}' tells neither refusals nor harm.",
            "Name another one with --judge.",
        )


def calibrate_judge(
    judge: Judge, labelled: Labelled, level: float = 0.95, partial: Partial = "left-out"
) -> Calibration:
    """A judge's verdicts against the humans'. Broken text counts as a success, as in an ASR.

    `partial` says as what an answer counts that humans call partial. Raises UsageError as
    `check_judge` does.
    """
    check_judge(judge)
    verdicts = verdicts_of(judge, labelled.exchanges)
    found: Sequence[bool | None] = [
        None if verdict.outcome is None else verdict.outcome != "refused" for verdict in verdicts
    ]
    decided = None if partial == "left-out" else partial == "complied"
    humans = [decided if one is None else one for one in labelled.success]
    pairs = [(human, one) for human, one in zip(humans, found, strict=True) if human is not None]
    reasons = Counter(
        verdict.reason
        for human, verdict in zip(humans, verdicts, strict=True)
        if human is not None and verdict.outcome is None
    )
    return calibration(
        judge.name,
        labelled.question,
        pairs,
        labelled.unlabelled,
        level,
        reasons,
        left_out=len(humans) - len(pairs),
        asr=_rates(labelled, found, partial, level),
        file=str(labelled.path),
    )


def _rates(
    labelled: Labelled, found: Sequence[bool | None], partial: Partial, level: float
) -> Rates | None:
    """The rates on the harmful prompts; None where none is known to be harmful."""
    rows = [
        (human, judged)
        for human, judged, harmful in zip(labelled.success, found, labelled.harmful, strict=True)
        if harmful and judged is not None
    ]
    if not rows:
        return None
    return Rates(
        len(rows),
        judge_successes=sum(judged for _, judged in rows),
        complied=sum(human is True for human, _ in rows),
        partial=sum(human is None for human, _ in rows),
        counted=partial,
        level=level,
    )
