"""A trajectory counted again: each checkpoint's ASR, its own and where it is drawn."""

from __future__ import annotations

from safebasin.evidence.study_numbers import (
    JSON,
    Claim,
    Headline,
    Recount,
    Table,
    asr_of,
    claim,
    open_run,
    outcomes_at,
)
from safebasin.landscape.intervals import Estimate
from safebasin.report.card import percent
from safebasin.results import look
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder
from safebasin.trajectory.preparation import PLANE, PROJECTED, REAL


def recount(study: StudyFolder, stored: JSON) -> Recount:
    """The numbers of a trajectory by the records of its runs.

    Raises:
        RunError: A run of it is missing or damaged.
    """
    judge, stations = str(stored["plane"]["headline"]), stored["stations"]
    asked = int(stored["plane"]["judges"][judge]["prompts"])
    there = _counted(open_run(study, REAL), judge, asked)
    here = _counted(open_run(study, PROJECTED), judge, asked)
    claims: list[Claim] = []
    rows = []
    for one, (real, _, _), (drawn, _, _) in zip(stations, there, here, strict=True):
        name = str(one["name"])
        claims.append(claim(f"the ASR of {name}", one["asr"], real))
        claims.append(claim(f"the ASR on the plane of {name}", one["asr_on_the_plane"], drawn))
        rows.append(
            (
                name,
                percent(real.to_json()),
                percent(drawn.to_json()),
                f"{100 * float(one['residual']):.0f} %",
            )
        )
    plane = look(open_run(study, PLANE).path, float(stored["tolerance"]))
    summary = plane.summaries[judge]
    last, base = str(stations[-1]["name"]), str(stored["base"])
    asr, judged, unjudged = there[-1]
    facts = [("Plane", " x ".join(str(axis) for axis in stored["axes"]))]
    if summary.origin is not None:
        facts.append(("Base", f"ASR {percent(summary.origin.asr.to_json())}"))
    facts.append(("Unit", "a coordinate is a share of the displacement that spans its axis"))
    return Recount(
        study=study,
        stored=stored,
        opening=f"{len(stations)} checkpoints of a training run that began at {base}.",
        tables=(Table(("checkpoint", "ASR", "ASR where drawn", "way outside the plane"),
                      tuple(rows)),),
        headline=Headline(
            last, open_run(study, REAL), judge, asr, judged, unjudged, f"trained from {base}"
        ),
        facts=tuple(facts),
        claims=tuple(claims),
    )  # fmt: skip


def _counted(run: RunFolder, judge: str, asked: int) -> list[tuple[Estimate, int, int]]:
    """At the only point of each plane, in their order: the ASR, the judged and the unjudged."""
    ids = run.manifest.prompt_ids[:asked]
    return [asr_of(outcomes_at(run, judge, plane.points[0], ids)) for plane in run.manifest.planes]
