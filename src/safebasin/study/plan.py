"""What a study will cost before it starts: its parts, and the time by a measured batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from safebasin.plan import estimate
from safebasin.plane import outward
from safebasin.reference import everyday_to_ask
from safebasin.run import RunFolder
from safebasin.run.folder import MANIFEST
from safebasin.study.parts import Part, unmeasured
from safebasin.study.spread import worker_count
from safebasin.study.work import Work


@dataclass(frozen=True)
class PartPlan:
    """The size of one run folder of a study; `answers_missing` is what it does not hold yet."""

    name: str
    points: int
    prompts: int
    answers_missing: int

    @property
    def answers(self) -> int:
        return self.points * self.prompts


@dataclass(frozen=True)
class StudyPlan:
    """The size of a study, and the time that it is expected to take.

    new_tokens  the tokens that an answer may have
    seconds     a range as that of `safebasin.plan.Plan`, by a measured batch of the largest part;
                None where none was measured
    workers     processes that answer
    further     what follows from the answers and is counted in neither
    notes       what to know before the answers are paid for
    """

    parts: tuple[PartPlan, ...]
    new_tokens: int
    seconds: tuple[float, float] | None
    workers: int
    further: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def answers(self) -> int:
        return sum(part.answers for part in self.parts)

    @property
    def answers_missing(self) -> int:
        return sum(part.answers_missing for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        totals = {"answers": self.answers, "answers_missing": self.answers_missing}
        return {**asdict(self), **totals}


def study_plan(
    work: Work[Any], parts: Sequence[Part], further: Sequence[str] = (), *, probe: bool
) -> StudyPlan:
    """The plan of these parts. Without `probe` nothing is measured or asked.

    With it a batch is asked at the undisplaced model, and the other parts are taken to cost as
    much an answer as the largest one, as are the everyday questions that a judge needs. Writes
    nothing.
    """
    sizes = tuple(
        PartPlan(
            part.name, len(outward(part.planes)), len(part.prompts), unmeasured(work.folder, [part])
        )
        for part in parts
    )
    missing = sum(size.answers_missing for size in sizes)
    count = worker_count(work.config.scan, work.engine, lambda: missing)
    seconds = None
    if probe:
        largest = max(parts, key=lambda part: len(outward(part.planes)) * len(part.prompts))
        points, prompts = outward(largest.planes), largest.prompts.prompts
        one = estimate(work.engine, prompts, work.sampling, points, missing)
        seconds = one.with_asides(_everyday(work, parts), 0.0).by_workers(count).seconds
    return StudyPlan(sizes, work.sampling.max_new_tokens, seconds, count, tuple(further))


def _everyday(work: Work[Any], parts: Sequence[Part]) -> float:
    """The everyday questions, which one engine is asked once, in answers of full length."""
    model, limit = work.identity["model"]["name"], work.sampling.max_new_tokens
    asked = [0.0]
    for part in parts:
        path = work.folder / part.name
        run = RunFolder.read(path) if (path / MANIFEST).exists() else None
        judges = (*part.judges, *part.readers)
        asked.append(everyday_to_ask(run, judges, model, part.prompts.name, limit))
    return max(asked)
