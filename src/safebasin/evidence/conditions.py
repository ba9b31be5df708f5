"""The conditions of a study counted again: one landscape for each way of asking."""

from __future__ import annotations

from safebasin.errors import RunError
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
from safebasin.plane import Point
from safebasin.report.card import number, percent
from safebasin.results import look
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder
from safebasin.run.names import slug


def recount(study: StudyFolder, stored: JSON) -> Recount:
    """The numbers of each condition by the records of its run.

    Raises:
        RunError: A run of it is missing or damaged.
    """
    judge, model = str(stored["judge"]), str(stored["model"])
    claims: list[Claim] = []
    rows = []
    headline = None
    for one in stored["conditions"]:
        name = str(one["name"])
        run = open_run(study, slug(name))
        ids = run.manifest.prompt_ids[: int(one["prompts"])]
        asr, judged, unjudged = asr_of(outcomes_at(run, judge, Point(), ids))
        claims.append(claim(f"the ASR under {name}", one["landscape"]["origin"]["asr"], asr))
        headline = headline or Headline(
            model, run, judge, asr, judged, unjudged, f"under the condition {name}"
        )
        rows.append((name, percent(asr.to_json()), *_landscape(run, judge), *_stopped(one)))
    if headline is None:
        raise RunError(
            f"'{study.file}' names no condition.", "Remove the file and run the same command again."
        )
    head = ("condition", "ASR", "VISAGE", "basin width", "attack stops nearby")
    return Recount(
        study=study,
        stored=stored,
        opening=f"{model} under {len(rows)} ways of asking.",
        tables=(Table(head, tuple(rows)),),
        headline=headline,
        facts=(
            ("Unit", "a width is in displacement relative to each tensor's Frobenius norm"),
            (
                "Attack stops nearby",
                "of the prompts that succeed at the origin, the share refused within "
                f"{float(stored['neighbourhood']):g} of it",
            ),
        ),
        claims=tuple(claims),
    )


def _landscape(run: RunFolder, judge: str) -> tuple[str, str]:
    summary = look(run.path).summaries[judge]
    width = "not defined" if summary.basin is None else number(summary.basin.width.to_json(), ".2f")
    return number(summary.visage.to_json(), ".1f"), width


def _stopped(one: JSON) -> tuple[str]:
    return (percent(one["stopped"]),)
