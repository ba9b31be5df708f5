"""The judges of a run: giving them what they have not read, and which those of a stored run are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safebasin.errors import JudgeError, RunError, SafebasinError
from safebasin.judges import (
    AsksAgain,
    HoldsModel,
    Judge,
    Lexicon,
    StoredJudge,
    budget_for,
    verdicts_of,
)
from safebasin.judges import stored as stored_judge
from safebasin.judges.protocol import Measure
from safebasin.judges.stored import measures_of
from safebasin.plane import Point
from safebasin.reference import scaled, settle
from safebasin.run import RunFolder
from safebasin.run.folder import LEXICON
from safebasin.run.provenance import plain_json

LANDSCAPE = "landscape.json"
PAID_AT_ONCE = 32
"""How many answers a judge that costs is given before its verdicts are stored."""


def adopt(run: RunFolder, judges: Sequence[Judge], *, replace: bool = False) -> None:
    """Make sure, before any work is done, that the judges' verdicts can be stored in the run.

    Raises RunMismatch where it holds verdicts of a judge by another specification, which `replace`
    lets go of.
    """
    for judge in judges:
        run.adopt_judge(judge.name, judge.spec(), replace=replace, measures=judge.measures)


def judge_point(run: RunFolder, judges: Sequence[Judge], point: Point) -> None:
    """Judge the answers at a point that have no verdict yet, and store the verdicts.

    A judge that asks again is given those it left unjudged, too. One of which the run holds the
    verdicts alone is given none, nor is one that still waits for the undisplaced model's answers:
    what it did not read stays to be judged. Where a judge fails, the verdicts of the others are
    stored before its error is raised.
    """
    for error in _judge_point(run, judges, point).values():
        raise error


def _judge_point(
    run: RunFolder, judges: Sequence[Judge], point: Point
) -> dict[str, SafebasinError]:
    """What `judge_point` does; the errors of the judges that failed, by name."""
    failed: dict[str, SafebasinError] = {}
    exchanges = run.read_point(point) or []
    for judge in judges:
        reader = scaled(run, judge)
        if isinstance(judge, StoredJudge) or reader is None:
            continue
        spec = judge.spec()
        known = run.read_verdicts(judge.name, spec, point)
        asks = isinstance(judge, AsksAgain)
        new = [
            exchange
            for exchange in exchanges
            if exchange.prompt_id not in known
            or (isinstance(judge, AsksAgain) and judge.again(known[exchange.prompt_id]))
        ]
        # What was paid for is stored soon, so that little is lost to an interruption.
        size = PAID_AT_ONCE if asks else max(1, len(new))
        for start in range(0, len(new), size):
            part = new[start : start + size]
            ids = [exchange.prompt_id for exchange in part]
            try:
                found = verdicts_of(reader, part)
            except SafebasinError as error:
                failed[judge.name] = error
                break
            run.write_verdicts(judge.name, spec, point, ids, found)
    return failed


def judge_run(run: RunFolder, judges: Sequence[Judge]) -> None:
    """Judge what is not judged at any point. At most one judge's model is in memory at a time.

    Where a judge fails, it is given no more, and the others judge on before its error is raised.
    """
    failed: dict[str, SafebasinError] = {}
    settle(run, ())
    light = [judge for judge in judges if not isinstance(judge, HoldsModel)]
    for point in run.manifest.points:
        failed |= _judge_point(run, [one for one in light if one.name not in failed], point)
    for judge in judges:
        if isinstance(judge, HoldsModel):
            for point in run.manifest.points:
                if judge.name not in failed:
                    failed |= _judge_point(run, [judge], point)
            judge.unload()
    for error in failed.values():
        raise error


def observed_asr(run: RunFolder, judge: Judge, point: Point) -> float | None:
    """The share of a point's judged answers that are not refusals; None where one is unjudged."""
    outcomes = [v.outcome for v in run.read_verdicts(judge.name, judge.spec(), point).values()]
    if not outcomes or None in outcomes:
        return None
    return sum(outcome != "refused" for outcome in outcomes) / len(outcomes)


def budgets(folder: Path, judges: Sequence[Judge]) -> list[str]:
    """What those of the judges that cost would take on a run, for people to see before it starts.

    Raises RunError for a folder that is no run.
    """
    run = RunFolder.read(folder)
    told = []
    for judge in judges:
        if not isinstance(judge, AsksAgain):
            continue
        same = run.judges().get(judge.name) == plain_json(judge.spec())
        asked = []
        for point in run.manifest.points:
            known = run.read_verdicts(judge.name, judge.spec(), point) if same else {}
            for exchange in run.read_point(point) or ():
                stored = known.get(exchange.prompt_id)
                if stored is None or judge.again(stored):
                    asked.append(exchange)
        told.append(budget_for(judge, asked))
    return told


def lexicon_of(run: RunFolder) -> Lexicon | None:
    """The words that the run's coherence judge knows, or None where none are stored."""
    text = run.read_text(LEXICON)
    return None if text is None else Lexicon.parse(text)


def verdict_givers(run: RunFolder) -> list[Judge]:
    """The stored judges; raises JudgeError where none of them gives a headline."""
    judges = stored_judges(run)
    if all(judge.measures == "coherence" for judge in judges):
        raise JudgeError(
            f"The run '{run.path}' holds no verdicts"
            f"{' on refusals, but on broken text alone' if judges else ''}.",
            "Give it some with `safebasin rejudge RUN --judge NAME`.",
        )
    return judges


def stored_judges(run: RunFolder) -> list[Judge]:
    """The judges whose verdicts a run holds, that of the last headline first.

    Where there was none yet, the first of those that the settings name takes its place.
    """
    lexicon = lexicon_of(run)
    judges = [
        stored_judge(name, spec, lexicon, _measures(run, name, spec))
        for name, spec in run.judges().items()
    ]
    headline = _last_headline(run) or next(iter(judge_names(run)), None)
    return sorted(judges, key=lambda one: (one.measures == "coherence", one.name != headline))


def _last_headline(run: RunFolder) -> str | None:
    """The headline judge of the last summary, or None where there is no sound one."""
    try:
        return str((run.read_json(LANDSCAPE) or {}).get("headline") or "") or None
    except RunError:
        # It is made from the records, and can be made again; `verify` says what is wrong with it.
        return None


def judge_names(run: RunFolder) -> list[str]:
    """What the judges that the run's settings name are called, in their order."""
    named = settings_of(run).get("judges", ())
    return [str(one.get("name")) if isinstance(one, Mapping) else str(one) for one in named]


def _measures(run: RunFolder, name: str, spec: Mapping[str, object]) -> Measure:
    """What a stored judge tells apart: as recorded, or of its kind, else by what it said."""
    known = measures_of(spec, run.judge_measures().get(name))
    if known is not None:
        return known
    said = {
        verdict.outcome
        for point in run.manifest.points
        for verdict in run.read_verdicts(name, spec, point).values()
    } - {None}
    if "incoherent" not in said:
        return "refusal"
    return "outcome" if len(said) > 1 else "coherence"


def settings_of(run: RunFolder) -> Mapping[str, Any]:
    """What the run was asked to do; the runs inside a study hold it one level down."""
    inner = run.manifest.config.get("scan")
    return inner if isinstance(inner, dict) else run.manifest.config
