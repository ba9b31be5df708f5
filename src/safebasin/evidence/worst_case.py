"""A search for the worst direction counted again: how far along each direction ASR stays low."""

from __future__ import annotations

from collections.abc import Sequence

from safebasin.evidence.study_numbers import (
    JSON,
    Claim,
    Headline,
    Recount,
    Table,
    asr_of,
    claim,
    length_claim,
    open_run,
    outcomes_at,
)
from safebasin.judging import judge_names
from safebasin.plane import Point
from safebasin.report.card import number, percent
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder


def recount(study: StudyFolder, stored: JSON) -> Recount:
    """The numbers of each direction by the records of its runs.

    Raises:
        RunError: A run of it is missing or damaged.
    """
    model, tolerance = str(stored["model"]), float(stored["tolerance"])
    claims: list[Claim] = []
    rows = []
    first = open_run(study, str(stored["directions"][0]["name"]))
    judge = next(iter(judge_names(first)), None) or next(iter(first.judges()))
    ids = first.manifest.prompt_ids[: int(stored["prompts"])]
    asr, judged, unjudged = asr_of(outcomes_at(first, judge, Point(), ids))
    for one in stored["directions"]:
        name = str(one["name"])
        origin = one["landscape"]["origin"]
        if origin is not None:
            run = open_run(study, name)
            own, _, _ = asr_of(outcomes_at(run, judge, Point(), ids))
            claims.append(claim(f"the ASR at the origin beside {name}", origin["asr"], own))
        line = _line(study, name, judge, ids)
        ends = {"effective_length": 1, "effective_length_back": -1}
        for key, side in ends.items():
            if one[key] is not None and one[key]["value"] is not None:
                what = f"the {key.replace('_', ' ')} of {name}"
                stated = float(one[key]["value"])
                claims.append(length_claim(what, stated, line, tolerance, side))
        back = one["effective_length_back"]
        rows.append(
            (
                name,
                number(one["effective_length"], ".3f"),
                "not measured" if back is None else number(back, ".3f"),
            )
        )
    return Recount(
        study=study,
        stored=stored,
        opening=f"How far {model} can be displaced along chosen directions, beside random ones.",
        tables=(Table(("direction", "effective length", "to the other side"), tuple(rows)),),
        headline=Headline(model, first, judge, asr, judged, unjudged),
        facts=(
            ("Origin", f"ASR {percent(asr.to_json())}"),
            (
                "Unit",
                f"how far ASR stays at most {100 * tolerance:g} %, relative to each tensor's "
                "Frobenius norm",
            ),
        ),
        claims=tuple(claims),
    )


def _line(
    study: StudyFolder, name: str, judge: str, ids: Sequence[str]
) -> dict[float, float | None]:
    """The ASR at each value along a direction, over all runs along it."""
    found: dict[float, float | None] = {}
    for path in study.runs:
        run = RunFolder.read(path)
        for plane in run.manifest.planes:
            if plane.directions != (name,):
                continue
            for value in plane.axes[0].values:
                point = Point.of({name: value})
                found[value] = asr_of(outcomes_at(run, judge, point, ids))[0].value
    return found
