"""An evaluation counted again: each judge's shares on harmful and on benign prompts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from safebasin.evaluate.preparation import BENIGN, CAPABILITY, HARMFUL
from safebasin.evaluate.shares import Shares, right, shares
from safebasin.evidence.capability import expected_in
from safebasin.evidence.study_numbers import (
    JSON,
    Claim,
    Headline,
    Recount,
    Table,
    claim,
    open_run,
    outcomes_at,
)
from safebasin.exchange import OUTCOMES
from safebasin.landscape.cells import CODES
from safebasin.landscape.intervals import Estimate
from safebasin.plane import Point
from safebasin.prompts.expected import right_answers
from safebasin.report.card import percent
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder


def recount(study: StudyFolder, stored: JSON) -> Recount:
    """The numbers of an evaluation by the records of its runs.

    Raises:
        RunError: A run of it is missing or damaged.
    """
    harmful = {name: _shares(study, HARMFUL, name, one) for name, one in stored[HARMFUL].items()}
    benign = {name: _shares(study, BENIGN, name, one) for name, one in stored[BENIGN].items()}
    judge, samples = str(stored["headline"]), _samples(stored)
    capability, left = _capability(study, stored, samples)
    claims = [*_claims(stored[HARMFUL], harmful, HARMFUL), *_claims(stored[BENIGN], benign, BENIGN)]
    if capability is not None:
        claims.append(claim("the share of right answers", stored[CAPABILITY], capability))
    head = harmful[judge]
    tables = [_table("harmful prompts", harmful, ("ASR", *OUTCOMES))]
    if benign:
        tables.append(_table("benign prompts", benign, ("over-refusal", *OUTCOMES[1:])))
    facts = [] if capability is None else [("Capability", f"{percent(capability.to_json())} right")]
    facts += [("Note", str(note)) for note in stored.get("notes", ())]
    model = str(stored["model"])
    return Recount(
        study=study,
        stored=stored,
        opening=f"How {model} answers as it is; its weights were not displaced.",
        tables=tuple(tables),
        headline=Headline(
            model, open_run(study, HARMFUL), judge, head.asr, head.judged, head.unjudged,
            "" if samples == 1 else f"{samples} samples a prompt",
        ),
        facts=tuple(facts),
        claims=tuple(claims),
        left_out=tuple(left),
    )  # fmt: skip


def _samples(stored: JSON) -> int:
    return int(stored[HARMFUL][stored["headline"]]["samples"])


def _runs(study: StudyFolder, kind: str, samples: int) -> list[RunFolder]:
    """The run of each sample of a set of prompts."""
    tails = ("", *(f"-{sample}" for sample in range(2, samples + 1)))
    return [open_run(study, f"{kind}{tail}") for tail in tails]


def _shares(study: StudyFolder, kind: str, judge: str, said: JSON) -> Shares:
    runs = _runs(study, kind, int(said["samples"]))
    ids = runs[0].manifest.prompt_ids[: int(said["prompts"])]
    codes = [[CODES[one] for one in outcomes_at(run, judge, Point(), ids)] for run in runs]
    return shares(judge, np.array(codes, dtype=np.int8))


def _capability(
    study: StudyFolder, stored: JSON, samples: int
) -> tuple[Estimate | None, list[str]]:
    if stored[CAPABILITY] is None:
        return None, []
    runs = _runs(study, CAPABILITY, samples)
    prompts = expected_in(runs[0])
    if prompts is None:
        return None, ["capability, whose expected answers are not in the folder"]
    asked = {prompt.id: prompt for prompt in prompts}
    questions = [asked[name] for name in runs[0].manifest.prompt_ids]
    answers = [right_answers(questions, run.read_point(Point()) or []) for run in runs]
    return right(answers), []


def _claims(said: JSON, found: dict[str, Shares], kind: str) -> Iterator[Claim]:
    for name, part in found.items():
        yield Claim(
            f"the number of judged answers to {kind} prompts by {name}",
            float(said[name]["judged"]),
            float(part.judged),
        )
        yield claim(f"the ASR on {kind} prompts by {name}", said[name]["asr"], part.asr)
        for outcome in OUTCOMES:
            yield claim(
                f"the share {outcome} of {kind} prompts by {name}",
                said[name][outcome],
                part.outcomes[outcome],
            )


def _table(what: str, found: dict[str, Shares], columns: tuple[str, ...]) -> Table:
    rows = []
    for name, part in found.items():
        every: dict[str, Estimate] = {"ASR": part.asr, "over-refusal": part.outcomes["refused"]}
        every |= {str(outcome): share for outcome, share in part.outcomes.items()}
        shares_of = [percent(every[column].to_json()) for column in columns]
        unjudged = f"{part.unjudged} of {part.judged + part.unjudged}"
        rows.append((name, *shares_of, unjudged))
    return Table((what, *columns, "not judged"), tuple(rows))
