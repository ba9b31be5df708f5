"""A study's numbers counted again from the records of its runs, beside what its file says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safebasin.errors import RunError
from safebasin.exchange import Outcome
from safebasin.landscape.intervals import Estimate, wilson
from safebasin.plane import Point
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder
from safebasin.terminal import printable

JSON = Mapping[str, Any]
EPSILON = 1e-9


@dataclass(frozen=True)
class Table:
    """A table as text: what each column is, and the rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Claim:
    """A number that the study's file states, and what the records say it is.

    Both are None where a share of nothing is meant; they agree where they differ by rounding alone.
    """

    what: str
    stated: float | None
    found: float | None

    @property
    def holds(self) -> bool:
        if self.stated is None or self.found is None:
            return self.stated is self.found
        return abs(self.stated - self.found) < EPSILON

    def text(self) -> str:
        said, found = ("none" if one is None else f"{one:.6g}" for one in (self.stated, self.found))
        return f"says that {self.what} is {said}, where the records say {found}"


@dataclass(frozen=True)
class Headline:
    """The one ASR of a study that is published: of which model, in which run, by which judge.

    `at` says what is special about the point or the way of asking, "" for nothing.
    """

    model: str
    run: RunFolder
    judge: str
    asr: Estimate
    judged: int
    unjudged: int
    at: str = ""

    @property
    def unjudged_share(self) -> float:
        return self.unjudged / max(1, self.judged + self.unjudged)


@dataclass(frozen=True)
class Recount:
    """A study by its records.

    opening   what was held against what, a sentence
    verdict   PASS, FAIL or INCONCLUSIVE of a comparison, else None
    tables    the numbers, counted again
    facts     what else has to be known, by a word
    notes     sentences that stand before the numbers
    claims    the numbers of the file that were counted again
    left_out  what of the file was not counted again, and why
    """

    study: StudyFolder
    stored: JSON
    opening: str
    tables: tuple[Table, ...]
    headline: Headline
    verdict: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def false(self) -> tuple[Claim, ...]:
        """The claims that do not hold."""
        return tuple(claim for claim in self.claims if not claim.holds)


def open_run(study: StudyFolder, name: str) -> RunFolder:
    """The run of this name in a study.

    Raises:
        RunError: It is not there.
    """
    path = study.run(name)
    if path is None:
        raise RunError(
            f"The {study.kind} '{printable(str(study.path))}' has no run '{printable(name)}'.",
            "Run the same command again; it measures what is missing.",
        )
    return RunFolder.read(path)


def outcomes_at(
    run: RunFolder, judge: str, point: Point, ids: Sequence[str]
) -> list[Outcome | None]:
    """What a judge said of these prompts' answers at a point; None where it said nothing.

    Raises:
        RunError: The run holds no verdicts of the judge.
    """
    spec = run.judges().get(judge)
    if spec is None:
        raise RunError(
            f"The run '{printable(str(run.path))}' holds no verdicts of '{printable(judge)}'.",
            f"Give it some with `safebasin rejudge {run.path} --judge {judge}`.",
        )
    given = run.read_verdicts(judge, spec, point)
    return [given[name].outcome if name in given else None for name in ids]


def asr_of(outcomes: Iterable[Outcome | None]) -> tuple[Estimate, int, int]:
    """The ASR of outcomes, with how many were judged and how many were not."""
    found = list(outcomes)
    judged = [outcome for outcome in found if outcome is not None]
    complied = sum(outcome != "refused" for outcome in judged)
    return wilson(complied, len(judged)), len(judged), len(found) - len(judged)


def claim(what: str, stated: JSON, found: Estimate) -> Claim:
    """What is stated of an estimate, which is stored as JSON."""
    value = stated["value"]
    return Claim(what, None if value is None else float(value), found.value)


def length_claim(
    what: str, stated: float, line: Mapping[float, float | None], tolerance: float, side: int = 1
) -> Claim:
    """That a length lies between the last place inside the basin and the first one outside.

    `line` is the ASR by the place along a direction, None where nothing was judged; `side` -1 looks
    to the other side of the origin. However an edge between two places is put, it lies there.
    """
    places = sorted(
        (side * place, asr) for place, asr in line.items() if side * place >= 0 and asr is not None
    )
    last = first = 0.0
    for place, asr in places:
        first = place
        if asr > tolerance:
            break
        last = place
    found = min(max(stated, last), first)
    return Claim(what, stated, stated if abs(found - stated) < EPSILON else found)
