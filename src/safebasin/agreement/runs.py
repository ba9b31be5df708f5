"""The judges of one run held against each other. No model, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from safebasin.agreement.conclusions import disagreements
from safebasin.agreement.measures import Agreement, Codes, agreement
from safebasin.errors import JudgeError, RunError
from safebasin.exchange import Exchange
from safebasin.given_judges import GivenJudge
from safebasin.judges import Judge, build_all, verdicts_of
from safebasin.judging import adopt, judge_run, lexicon_of, stored_judges
from safebasin.landscape import TOLERANCE, Summary, Survey
from safebasin.plane import Point
from safebasin.report.judges import draw_judges
from safebasin.results import prompts_name, survey
from safebasin.run import RunFolder
from safebasin.run.records import SCHEMA_VERSION

AGREEMENT = "agreement.json"


@dataclass(frozen=True)
class JudgeComparison:
    """The map of a run under each judge, how far the judges agree, and what depends on them."""

    folder: Path
    tolerance: float
    surveys: Mapping[str, Survey]
    summaries: Mapping[str, Summary]
    pairs: tuple[Agreement, ...]
    warnings: tuple[str, ...]
    figures: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
    """Judges that recognise broken text alone, which have nothing to agree on with the others."""

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "tolerance": self.tolerance,
            "agreement": [pair.to_json() for pair in self.pairs],
            "depends_on_the_judge": list(self.warnings),
            "left_out": list(self.left_out),
            "judges": {name: summary.to_json() for name, summary in self.summaries.items()},
        }


def compare_judges(
    folder: Path, more: Sequence[str | GivenJudge] = (), tolerance: float | None = None
) -> JudgeComparison:
    """Judge the stored answers by `more` judges beside those they have, and compare them all.

    The headline judge of the run stays what it is; `agreement.json` and a picture are written.
    Judges that recognise broken text alone are left out. `tolerance` None takes the run's own.
    Raises RunError for a folder that is no run, JudgeError where there are no two judges.
    """
    with RunFolder.reopen(folder) as run:
        built = build_all(more, lexicon_of(run)) if more else ()
        added = {judge.name: judge for judge in built}
        stored = [judge for judge in stored_judges(run) if judge.name not in added]
        judges: list[Judge] = [*stored, *added.values()]
        left_out = tuple(judge.name for judge in judges if judge.measures == "coherence")
        judges = [judge for judge in judges if judge.measures != "coherence"]
        if len(judges) < 2:
            beside = f" beside {' and '.join(left_out)}" if left_out else ""
            raise JudgeError(
                f"The run '{folder}' has {len(judges)} judge{beside}, and agreement takes two"
                f"{' that read the answers for refusals' if left_out else ''}.",
                "Name another one with --judge.",
            )
        for judge in judges:
            adopt(run, [judge], replace=judge.name in added)
        judge_run(run, judges)
        limit = _tolerance(run) if tolerance is None else tolerance
        surveys = {judge.name: survey(run, judge, run.manifest.prompt_ids) for judge in judges}
        summaries = {name: one.summary(limit) for name, one in surveys.items()}
        result = JudgeComparison(
            folder=run.path,
            tolerance=limit,
            surveys=surveys,
            summaries=summaries,
            pairs=tuple(_pair(a, b, surveys) for a, b in combinations(judges, 2)),
            warnings=disagreements(run.manifest.planes[0], summaries, limit),
            left_out=left_out,
        )
        run.write_json(AGREEMENT, result.to_json())
        figures = draw_judges(
            surveys,
            model=run.model_name,
            prompts=f"{prompts_name(run)} ({len(run.manifest.prompt_ids)})",
            tolerance=limit,
            folder=run.path / "figures",
        )
    return replace(result, figures=tuple(figures))


def _pair(first: Judge, second: Judge, surveys: Mapping[str, Survey]) -> Agreement:
    three_way = first.measures == second.measures == "outcome"
    codes = (distinct(surveys[first.name]), distinct(surveys[second.name]))
    return agreement(first.name, second.name, codes, three_way)


def distinct(survey: Survey) -> Codes:
    """The outcomes at every point once, whichever landscapes hold it: (points, prompts)."""
    rows: dict[Point, Codes] = {}
    for landscape in survey.landscapes:
        flat = landscape.outcomes.reshape(-1, len(survey.prompt_ids))
        for point, codes in zip(landscape.plane.points, flat, strict=True):
            rows.setdefault(point, codes)
    return np.stack(list(rows.values()))


def _tolerance(run: RunFolder) -> float:
    given = run.manifest.config.get("tolerance")
    return TOLERANCE if given is None else float(given)


def origin_answers(folder: Path) -> list[Exchange]:
    """The answers of a run's undisplaced model.

    Raises RunError for a folder that is no run or has no answers there.
    """
    answers = RunFolder.read(folder).read_point(Point())
    if not answers:
        raise RunError(
            f"The run '{folder}' has no answers of the undisplaced model.",
            "Give a run whose grid holds the origin, or --observed.",
        )
    return answers


def observed_asr(folder: Path, judge: Judge) -> tuple[int, int]:
    """Successes and judged answers of a run's undisplaced model by this judge, who reads them now.

    Raises RunError as `origin_answers` does.
    """
    outcomes = [verdict.outcome for verdict in verdicts_of(judge, origin_answers(folder))]
    judged = [outcome for outcome in outcomes if outcome is not None]
    return sum(outcome != "refused" for outcome in judged), len(judged)
