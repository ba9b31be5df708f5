"""Checks a run or a whole study: every file, and that the derived ones say what the records say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.errors import SafebasinError
from safebasin.evidence.recount import recount
from safebasin.judging import LANDSCAPE
from safebasin.landscape.cells import Cell
from safebasin.plane import Point
from safebasin.results import look
from safebasin.run import Problem, RunFolder, Verification, sealed, strictjson
from safebasin.run import verify as verify_files
from safebasin.run.atomic import read_plain
from safebasin.run.kinds import StudyFolder, run_or_study
from safebasin.run.records import DamagedError
from safebasin.terminal import printable


@dataclass(frozen=True)
class StudyVerification:
    """What was found in a study: in its own files, and in each of its runs by name.

    `left_out` says what of the study's file could not be counted again; `unsealed` names its files
    without a digest, which earlier versions wrote.
    """

    kind: str
    own: tuple[Problem, ...]
    runs: Mapping[str, Verification]
    left_out: tuple[str, ...] = ()
    unsealed: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, the files of a run by their path in the study."""
        inside = (
            replace(problem, file=f"{name}/{problem.file}")
            for name, found in self.runs.items()
            for problem in found.problems
        )
        return (*self.own, *inside)


def verify(path: str | os.PathLike[str]) -> Verification | StudyVerification:
    """Read every file of a run or of a study. It writes nothing, and returns what it finds wrong.

    Raises:
        RunError: The folder is neither.
    """
    root = Path(path)
    study = run_or_study(root)
    return verify_run(root) if study is None else _verify_study(study)


def verify_run(root: Path) -> Verification:
    """`run.verify` with the summary held against the verdicts.

    Raises:
        RunError: There is no run folder at the path.
    """
    found = verify_files(root)
    if found.problems:
        return found  # what is damaged cannot be counted
    try:
        said = tuple(_summary_problems(root))
    except SafebasinError as error:
        said = (Problem(LANDSCAPE, None, f"cannot be held against the records: {error.message}"),)
    return replace(found, problems=said)


def _summary_problems(root: Path) -> Iterator[Problem]:
    """Where `landscape.json` counts other verdicts than the records hold, point by point.

    Points with another number of answers than at the time of the summary were measured or judged
    since, which is no fault: `safebasin show` makes the summary anew.
    """
    run = RunFolder.read(root)
    stored = run.read_json(LANDSCAPE)
    if not isinstance(stored, dict) or "judges" not in stored:
        return
    result = look(root)
    for name, said in stored["judges"].items():
        found = result.summaries.get(name)
        if found is None:
            yield Problem(LANDSCAPE, None, f"tells of the judge {printable(name)}, who gave none")
            continue
        cells = {cell.point: cell for landscape in found.cells for cell in landscape}
        same = said["prompts"] == len(run.manifest.prompt_ids)
        for one in (one for landscape in said["landscapes"] for one in landscape) if same else ():
            cell = cells.get(Point.of(one["point"]))
            if cell is None or not _contradicts(one, cell):
                continue
            yield Problem(
                LANDSCAPE,
                None,
                f"counts {_counts(one)} at {cell.point.label} by {printable(name)}, where the "
                f"records have {_counts(cell.to_json())}; `safebasin show` makes it anew",
            )


def _contradicts(said: Mapping[str, Any], cell: Cell) -> bool:
    found = cell.to_json()
    size = [one["n"] + one["unjudged"] for one in (said, found)]
    return size[0] == size[1] and not said["assumed"] and _counts(said) != _counts(found)


def _counts(cell: Mapping[str, Any]) -> str:
    names = ("refused", "complied", "incoherent", "unjudged")
    return " / ".join(str(cell[name]) for name in names)


def _verify_study(study: StudyFolder) -> StudyVerification:
    own = list(_links(study))
    unsealed = []
    for file in sorted(study.path.glob("*.json")):
        if file.is_symlink():
            continue
        try:
            if not sealed.check(strictjson.loads(read_plain(file))):
                unsealed.append(file.name)
        except DamagedError as error:
            own.append(Problem(file.name, error.line, error.what))
        except ValueError as error:
            own.append(Problem(file.name, None, f"is not strict JSON ({error})"))
    runs = {path.name: verify_run(path) for path in study.runs}
    left_out: tuple[str, ...] = ()
    damaged = any(found.problems for found in runs.values())
    if not damaged and not any(problem.file == study.file.name for problem in own):
        try:
            found = recount(study)
            left_out = found.left_out
            own += [Problem(study.file.name, None, claim.text()) for claim in found.false]
        except SafebasinError as error:
            own.append(Problem(study.file.name, None, error.message))
    return StudyVerification(study.kind, tuple(own), runs, left_out, tuple(unsealed))


def _links(study: StudyFolder) -> Iterator[Problem]:
    """The links of a study outside its runs, where `verify_run` finds them."""
    for path in sorted(study.path.iterdir()):
        if path.is_symlink():
            yield Problem(path.name, None, "is a link")
