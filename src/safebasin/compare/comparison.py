"""What a comparison found: the paired numbers, the path, the distances and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safebasin.compare.distances import Distance
from safebasin.compare.divergence import Divergence
from safebasin.compare.forensics import Forensics
from safebasin.compare.gates import Check, Verdict, reasons_of, verdict_of
from safebasin.compare.limits import checks_of, doubts_of
from safebasin.compare.preparation import BASE, BENIGN, CAPABILITY, TUNED, Prepared
from safebasin.exchange import Outcome
from safebasin.judges import Judge
from safebasin.landscape import Survey
from safebasin.landscape.intervals import Estimate
from safebasin.landscape.path_length import Stretch, path_edges, path_length
from safebasin.landscape.truncation import Cut
from safebasin.prompts.expected import right_answers
from safebasin.results import Result
from safebasin.run import RunFolder
from safebasin.run.records import SCHEMA_VERSION
from safebasin.study.edge import path_survey
from safebasin.study.paired import Paired, paired
from safebasin.study.parts import Part
from safebasin.truncation import cut_at, cut_before_refusal, truncation_of


@dataclass(frozen=True)
class Comparison:
    """The answer to: is the tuned model still safe, and how close is it to the edge?

    safety        attack success rate on the harmful prompts
    complied      coherent compliance with them, where a judge tells it from broken text
    over_refusal  refusals of benign prompts
    incoherent    broken answers to harmful and benign prompts
    capability    right answers
    length        how far along the path from base (0) to tuned (1) ASR stays within the tolerance
    margin        length - 1: how much further the same change could go; negative where it went
                  too far already
    edge          the last place inside the basin and the first outside, by the estimates of ASR
    divergence    KL(base || tuned) on benign prompts; None where it could not be measured
    forensics     what was done to each block, and how much lies in what was located, where asked
    path, shares  the landscape along the path by the headline judge, and by a three-way one
    landscape     that of the tuned model, where it was measured
    cut           how many answers to the harmful prompts ended at the token limit, at both ends
    doubts        why the numbers cannot carry a PASS, whatever the checks say, a sentence each
    provenance    versions, command, date, models and prompts, as JSON values
    """

    folder: Path
    base: str
    tuned: str
    prompts: str
    tolerance: float
    safety: Paired
    complied: Paired | None
    over_refusal: Paired | None
    incoherent: Paired | None
    capability: Paired | None
    length: Estimate
    margin: Estimate
    edge: Stretch
    distances: tuple[Distance, ...]
    path: Survey
    shares: Survey | None
    landscape: Result | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    cut: tuple[Cut, Cut]
    doubts: tuple[str, ...] = ()
    divergence: Divergence | None = None
    forensics: Forensics | None = None
    figures: tuple[Path, ...] = ()
    page: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.verdict == "PASS"

    @property
    def verdict(self) -> Verdict:
        """FAIL where a check certainly fails, else INCONCLUSIVE where anything is in doubt."""
        return verdict_of(self.checks, self.doubts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not PASS, a sentence each; empty where it is."""
        return reasons_of(self.checks, self.doubts)

    @property
    def pairs(self) -> tuple[Paired, ...]:
        """The paired numbers that were measured."""
        every = (self.safety, self.complied, self.over_refusal, self.incoherent, self.capability)
        return tuple(pair for pair in every if pair is not None)

    def stored(self) -> dict[str, Any]:
        """What `comparison.json` holds: the numbers, and where they come from."""
        return {**self.to_json(), "provenance": dict(self.provenance)}

    def to_json(self) -> dict[str, Any]:
        """The numbers, which are the same whenever the same comparison is made."""
        return {
            "schema_version": SCHEMA_VERSION,
            "base": self.base,
            "tuned": self.tuned,
            "prompts": self.prompts,
            "judge": self.path.judge,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "doubts": list(self.doubts),
            "checks": [one.to_json() for one in self.checks],
            **{
                name: None if pair is None else pair.to_json()
                for name, pair in (
                    ("asr", self.safety),
                    ("complied", self.complied),
                    ("over_refusal", self.over_refusal),
                    ("incoherent", self.incoherent),
                    ("capability", self.capability),
                )
            },
            "effective_length": self.length.to_json(),
            "margin": self.margin.to_json(),
            "edge": {"last_inside": self.edge.inside, "first_outside": self.edge.outside},
            "divergence": None if self.divergence is None else self.divergence.to_json(),
            "distances": [distance.to_json() for distance in self.distances],
            "path": self.path.summary(self.tolerance).to_json(),
            "landscape": None if self.landscape is None else self.landscape.to_json(),
            "cut": {
                end: cut.to_json() for end, cut in zip(("base", "tuned"), self.cut, strict=True)
            },
            "notes": list(self.notes),
            **({} if self.forensics is None else {"forensics": self.forensics.to_json()}),
        }


def read(
    prepared: Prepared,
    path: Part,
    landscape: Result | None = None,
    divergence: Divergence | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """Read the measured run folders and hold the numbers against the limits.

    `path` holds every point that was measured on the way from base to tuned; `notes` are more of
    them, beside those of the preparation.
    """
    config, scan = prepared.config, prepared.config.scan
    judges, three = path.judges, _three_way(path.judges)
    surveys = [path_survey(prepared.folder, [path], judge) for judge in judges]
    harmful = _outcomes(prepared.folder, path)
    benign = prepared.part(BENIGN)
    over_refusal = broken = complied = capability = None
    friendly = None if benign is None else _outcomes(prepared.folder, benign)
    if friendly is not None:
        over_refusal = paired("over-refusal", *_is(friendly[0], "refused"))
    if three is not None:
        complied = paired("complied", *_is(harmful[three], "complied"))
        first, second = _is(harmful[three], "incoherent")
        if friendly is not None:
            more = _is(friendly[three], "incoherent")
            first, second = [*first, *more[0]], [*second, *more[1]]
        broken = paired("incoherent", first, second)
    if (questions := prepared.part(CAPABILITY)) is not None:
        capability = _capability(prepared.folder, questions)
    before, after = _is(harmful[0], "refused")
    safety = paired("ASR", _not(before), _not(after))
    length = path_length(surveys[0], scan.tolerance)
    margin = shifted(length, -1.0)
    run, ids = RunFolder.read(prepared.folder / path.name), path.prompts.ids
    truncation = truncation_of(run, judges, ids)
    unrefused = [cut_before_refusal(run, judges, ids, point) for point in (BASE, TUNED)]
    return Comparison(
        folder=prepared.folder,
        base=prepared.base.name,
        tuned=prepared.tuned.name,
        prompts=f"{path.prompts.name} ({len(path.prompts)})",
        tolerance=scan.tolerance,
        safety=safety,
        complied=complied,
        over_refusal=over_refusal,
        incoherent=broken,
        capability=capability,
        length=length,
        margin=margin,
        edge=path_edges(surveys[0], scan.tolerance).likely,
        distances=prepared.distances,
        path=surveys[0],
        shares=None if three is None else surveys[three],
        landscape=landscape,
        checks=checks_of(
            config, safety, over_refusal, capability, margin, surveys[0], divergence, unrefused
        ),
        notes=tuple(
            note
            for note in (
                *prepared.notes,
                *notes,
                truncation.warning,
                disagreement(surveys, scan.tolerance),
            )
            if note
        ),
        divergence=divergence,
        cut=(cut_at(run, BASE, ids), cut_at(run, TUNED, ids)),
        doubts=doubts_of(config, safety, prepared.distances[0], unrefused, truncation.limit),
    )


def disagreement(surveys: Sequence[Survey], tolerance: float) -> str:
    """Where another judge than the first finds the base on the other side of the tolerance.

    One sentence, or none: what such a judge misreads may be all that the verdict rests on.
    """
    found = [
        (survey.judge, survey.origin.asr.value)
        for survey in surveys
        if survey.origin is not None and survey.origin.asr.value is not None
    ]
    if not found or found[0][0] != surveys[0].judge:
        return ""
    (first, asr), *others = found
    for name, other in others:
        if (other > tolerance) != (asr > tolerance):
            return (
                f"{first}, which decides, finds an ASR of {100 * asr:.1f} % in the base, and "
                f"{name} {100 * other:.1f} %, across the tolerance of {100 * tolerance:g} %: the "
                "judge named first in --judge decides"
            )
    return ""


def shifted(estimate: Estimate, by: float) -> Estimate:
    """The same estimate of a quantity that differs by a constant."""
    value, low, high = (
        None if number is None else number + by
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return dataclasses.replace(estimate, value=value, low=low, high=high, each=())


Ends = tuple[Sequence[Outcome | None], Sequence[Outcome | None]]


def _outcomes(folder: Path, part: Part) -> list[Ends]:
    """By judge: the outcomes at base and tuned, in the order of the prompts."""
    found: list[Ends] = []
    run = RunFolder.read(folder / part.name)
    for judge in part.judges:
        sides = [run.read_verdicts(judge.name, judge.spec(), point) for point in (BASE, TUNED)]
        first, second = (
            [side[name].outcome if name in side else None for name in part.prompts.ids]
            for side in sides
        )
        found.append((first, second))
    return found


def _is(ends: Ends, outcome: Outcome) -> tuple[list[bool | None], list[bool | None]]:
    first, second = (
        [None if found is None else found == outcome for found in side] for side in ends
    )
    return first, second


def _not(side: Sequence[bool | None]) -> list[bool | None]:
    return [None if value is None else not value for value in side]


def _three_way(judges: Sequence[Judge]) -> int | None:
    return next((i for i, judge in enumerate(judges) if judge.measures == "outcome"), None)


def _capability(folder: Path, part: Part) -> Paired:
    prompts = part.prompts.prompts
    run = RunFolder.read(folder / part.name)
    before, after = (right_answers(prompts, run.read_point(point) or []) for point in (BASE, TUNED))
    return paired("capability", before, after)
